// The values of a feature: how a text is read as one, and which values the training data had.

import { brief } from "./words.mjs";

/**
 * @typedef {object} Feature as /metadata has it
 * @property {string} name
 * @property {string} type NumPy's name of a number's type, "bool" or "string"
 * @property {number} [min]
 * @property {number} [max]
 * @property {string[]} [values]
 * @property {number} [median]
 * @property {string | boolean} [commonest]
 * @property {boolean} [missing] null is accepted
 */
/** @typedef {number | string | boolean | null} Value NaN is a text that can't be read */

const WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"];
const GAPS = ["", "na", "n/a", "nan", "null", "none", "<na>", "nat", "?"]; // usual marks of a missing value
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** @param {Feature} feature */
export const isWhole = ({ type }) => WHOLE.includes(type);

/** @param {Feature} feature */
export const expected = (feature) =>
  ({ bool: "true or false", string: "a text" })[feature.type] ?? `a ${isWhole(feature) ? "whole " : ""}number`;

/**
 * Describe the values of a feature in the training data.
 * @param {Feature} feature
 */
export const spread = ({ values, min, max }) => (values ? values.join(", ") : min === undefined ? "" : `${brief(min)} to ${brief(max)}`);

/**
 * Read a finite number, or NaN.
 * @param {string} text
 * @param {string} [mark] the decimal mark, "." or ","
 */
export function readNumber(text, mark = ".") {
  const plain = mark === "," && !text.includes(".") ? text.trim().replace(",", ".") : text.trim();
  const number = NUMBER.test(plain) ? Number(plain) : NaN;
  return Number.isFinite(number) ? number : NaN;
}

/**
 * Return whether a text marks a missing value.
 * @param {string} text
 * @param {Feature} feature
 */
export const isGap = (text, { type }) => text.trim() === "" || (type !== "string" && GAPS.includes(text.trim().toLowerCase()));

/**
 * Read a text as a feature's value: null if it is missing and may be, NaN if it isn't a value.
 * @param {string} text
 * @param {Feature} feature
 * @param {string} [mark]
 * @returns {Value}
 */
export function readValue(text, feature, mark = ".") {
  if (feature.missing && isGap(text, feature)) return null;
  if (feature.type === "string") return text;
  if (feature.type === "bool")
    return { true: true, false: false, 1: true, 0: false, "1.0": true, "0.0": false }[text.trim().toLowerCase()] ?? NaN;
  const number = readNumber(text, mark);
  return isWhole(feature) && !Number.isInteger(number) ? NaN : number;
}

/**
 * Return whether a value is outside the training data.
 * @param {Value} value
 * @param {Feature} feature
 */
export function isUnseen(value, { type, min, max, values }) {
  if (type === "string") return typeof value === "string" && values !== undefined && !values.includes(value);
  // Compare as float32, like the model: a file has fewer digits than the bounds.
  const round = type === "float64" || WHOLE.includes(type) ? Number : Math.fround;
  return typeof value === "number" && min !== undefined && max !== undefined && (round(value) < round(min) || round(value) > round(max));
}

/**
 * Return the typical value: the median, or the most common text; undefined if the artifact doesn't have it.
 * @param {Feature} feature
 * @returns {Value | undefined}
 */
export function typical({ type, median, commonest }) {
  if (type === "bool") return typeof commonest === "boolean" ? commonest : undefined;
  if (type === "string") return typeof commonest === "string" ? commonest : undefined;
  return median;
}
