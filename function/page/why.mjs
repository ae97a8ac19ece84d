// Explains an answer: how it changes when one feature alone has its typical value.

import { $, make } from "./elements.mjs";
import { typical } from "./features.mjs";
import { ask } from "./service.mjs";
import { brief, count, decimals } from "./words.mjs";

/** @typedef {import("./features.mjs").Value} Value */
/** @typedef {{ name: string, from: Value, to: Value, change: number }} Change */

const QUIET = 150; // milliseconds without a change before the request
const MOST = 10;

/** @type {{ timer?: number, flight?: AbortController }} */
const question = {};

/** Mark the explanation of an old row as outdated. */
export function forgetExplanation() {
  clearTimeout(question.timer);
  question.flight?.abort();
  $("why").classList.add("old");
}

/**
 * Send the row again for each feature that isn't typical, with that feature's typical value, all in one request.
 * @param {import("./service.mjs").Model} model
 * @param {Value[]} row
 * @param {number} probability of the label at this place
 * @param {number} place
 */
export function explainAnswer(model, row, probability, place) {
  const standards = model.features.map(typical);
  $("why").hidden = standards.every((value) => value === undefined);
  if ($("why").hidden) return;
  question.timer = setTimeout(async () => {
    const asked = [...row.keys()].filter((index) => standards[index] !== undefined && standards[index] !== row[index]);
    const rows = asked.map((index) => row.with(index, /** @type {Value} */ (standards[index])));
    const body = JSON.stringify({ data: rows });
    const { max_rows, max_body_bytes } = model.limits;
    const label = model.labels[place];
    if (!rows.length) return show(label, [], model);
    if (rows.length > max_rows || new TextEncoder().encode(body).length > max_body_bytes) return void ($("why").hidden = true);
    const flight = (question.flight = new AbortController());
    try {
      const { answer } = await ask("predict/batch", { body, signal: flight.signal });
      const changes = asked.map((index, at) => ({
        name: model.features[index].name,
        from: row[index],
        to: /** @type {Value} */ (standards[index]),
        change: answer.prediction[at][place] - probability,
      }));
      if (!flight.signal.aborted) show(label, changes, model);
    } catch {
      $("why").hidden = true; // the answer itself is still shown
    }
  }, QUIET);
}

/**
 * @param {string} label
 * @param {Change[]} changes
 * @param {import("./service.mjs").Model} model
 */
function show(label, changes, { features }) {
  changes.sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  const most = Math.max(0.01, ...changes.map(({ change }) => Math.abs(change)));
  const n_unknown = features.filter((feature) => typical(feature) === undefined).length;
  const n_typical = features.length - n_unknown - changes.length;
  const rest = changes.slice(MOST);
  const notes = [
    rest.length ? `${count(rest.length, "more feature")} changed it by less` : "",
    n_typical ? `${count(n_typical, "feature")} ${n_typical === 1 ? "is" : "are"} already typical` : "",
    n_unknown ? `${count(n_unknown, "feature")} without a typical value` : "",
  ];
  $("why-title").textContent = `Why ${label}?`;
  $("why-bars").replaceChildren(...changes.slice(0, MOST).map((one) => makeChange(one, most)));
  $("why-notes").textContent = notes.filter(Boolean).join("; ");
  $("why").classList.remove("old");
}

/**
 * @param {Change} change
 * @param {number} most
 */
function makeChange({ name, from, to, change }, most) {
  const points = Math.abs(change) < 0.0005 ? "0.0" : `${change > 0 ? "+" : "−"}${decimals(100 * Math.abs(change))}`;
  const bar = make("span", { class: change < 0 ? "less" : "more" });
  bar.style.width = `${(50 * Math.abs(change)) / most}%`;
  return make("li", {},
    make("span", { class: "name" }, name),
    make("span", { class: "hint" }, `${brief(from)} → ${brief(to)}`),
    make("span", { class: "both" }, bar),
    make("span", { class: "share" }, points));
}
