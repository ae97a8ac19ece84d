// The fields of a row: for each feature a choice, a text, or a number with a slider.

import { make } from "./elements.mjs";
import { isUnseen, isWhole, readNumber } from "./features.mjs";
import { brief } from "./words.mjs";

/** @typedef {import("./features.mjs").Feature} Feature */
/** @typedef {import("./features.mjs").Value} Value */
/**
 * @typedef {object} Control
 * @property {HTMLElement} element
 * @property {(value: Value) => void} write
 * @property {() => Value} read NaN if it isn't a value
 * @property {() => string} fault what is wrong with the input, if that needs more words than what is expected
 */

const MISSING = "\0";

/**
 * Make the control of a feature.
 * @param {Feature} feature
 * @param {string} id
 * @param {() => void} changed
 * @returns {Control}
 */
export function makeControl(feature, id, changed) {
  const values = feature.type === "bool" ? ["true", "false"] : feature.values;
  if (values) return makeChoice(feature, id, values, changed);
  return feature.type === "string" ? makeText(feature, id, changed) : makeNumber(feature, id, changed);
}

/**
 * @param {Feature} feature
 * @param {string} id
 * @param {Record<string, any>} attributes
 */
function makeField({ name, missing }, id, attributes) {
  const field = make("input", { id, type: "text", placeholder: missing ? "missing" : undefined, ...attributes });
  return { field, line: make("div", { class: "line" }, make("label", { for: id }, name), field) };
}

/**
 * @param {Feature} feature
 * @param {string} id
 * @param {() => void} changed
 * @returns {Control}
 */
function makeText(feature, id, changed) {
  const { field, line } = makeField(feature, id, { input: changed });
  return {
    element: make("div", { class: "control" }, line),
    write: (value) => (field.value = value ?? ""),
    read: () => (field.value === "" && feature.missing ? null : field.value),
    fault: () => "",
  };
}

/**
 * One of some texts, or true or false, or missing if that is allowed.
 * @param {Feature} feature
 * @param {string} id
 * @param {string[]} values
 * @param {() => void} changed
 * @returns {Control}
 */
function makeChoice(feature, id, values, changed) {
  const known = values.map((value) => make("option", {}, value));
  const none = feature.missing ? [make("option", { value: MISSING }, "(missing)")] : [];
  const field = make("select", { id, input: changed }, ...known, ...none);
  return {
    element: make("div", { class: "control" }, make("div", { class: "line" }, make("label", { for: id }, feature.name), field)),
    write: (value) => {
      const text = value === null ? MISSING : String(value);
      if (value !== null && ![...field.options].some((option) => option.value === text)) field.append(make("option", {}, text));
      field.value = text;
    },
    read: () => (field.value === MISSING ? null : feature.type === "bool" ? field.value === "true" : field.value),
    fault: () => "",
  };
}

/**
 * A number in a text field, because a browser's number field reads 5,7 as 57.
 * @param {Feature} feature
 * @param {string} id
 * @param {() => void} changed
 * @returns {Control}
 */
function makeNumber(feature, id, changed) {
  const { field, line } = makeField(feature, id, { inputmode: isWhole(feature) ? "numeric" : "decimal", class: "number", spellcheck: "false" });
  const element = make("div", { class: "control" }, line);
  const { min = 0, max = 0 } = feature;
  const step = isWhole(feature) ? 1 : 10 ** Math.floor(Math.log10((max - min) / 50));
  const slider = make("input", { type: "range", min, max, step, "aria-label": feature.name });
  if (min < max) element.append(slider, make("div", { class: "range" }, make("span", {}, brief(min)), make("span", {}, brief(max))));
  const isUnclear = () => /^\s*[+-]?[1-9]\d{0,2}(,\d{3})+\s*$/.test(field.value);
  const read = () => {
    if (field.value.trim() === "") return feature.missing ? null : NaN;
    const number = isUnclear() ? NaN : readNumber(field.value, ",");
    return isWhole(feature) && !Number.isInteger(number) ? NaN : number;
  };
  field.addEventListener("input", () => {
    const value = read();
    if (typeof value === "number" && !Number.isNaN(value)) slider.value = value;
    changed();
  });
  slider.addEventListener("input", () => {
    field.value = Number(slider.valueAsNumber.toPrecision(7));
    changed();
  });
  return {
    element,
    write: (value) => (field.value = slider.value = value ?? ""),
    read,
    fault: () => (isUnclear() ? `“${field.value.trim()}” is ambiguous: write thousands without the comma, decimals with a point` : ""),
  };
}

/**
 * Mark the controls with values outside the training data, and return their features.
 * @param {Control[]} controls
 * @param {Feature[]} features
 */
export function markUnseen(controls, features) {
  return features.filter((feature, index) => {
    const isOut = isUnseen(controls[index].read(), feature);
    controls[index].element.classList.toggle("out", isOut);
    return isOut;
  });
}
