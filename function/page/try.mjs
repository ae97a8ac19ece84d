// One row, by hand.

import { makeControl, markUnseen } from "./controls.mjs";
import { $, field, make } from "./elements.mjs";
import { expected, spread } from "./features.mjs";
import { ask, ServiceError } from "./service.mjs";
import { LANGUAGES, writeSnippet } from "./snippets.mjs";
import { explainAnswer, forgetExplanation } from "./why.mjs";
import { decimals, percent } from "./words.mjs";

/** @typedef {import("./features.mjs").Value} Value */

const PATIENCE = 300; // milliseconds that a newer request waits for the response to an older one
const SETTLED = 600; // milliseconds until screen readers say an answer
const MOST_BARS = 12;

const trial = {
  /** @type {import("./service.mjs").Model} */
  model: /** @type {any} */ (undefined),
  /** @type {import("./controls.mjs").Control[]} */
  controls: [],
  language: "curl",
  /** @type {number | undefined} */
  timer: undefined,
  /** @type {number | undefined} */
  speech: undefined,
  /** @type {(AbortController & { started: number }) | undefined} */
  flight: undefined,
};

/**
 * Show the controls of a model, with its sample.
 * @param {import("./service.mjs").Model} model
 */
export function showTry(model) {
  trial.model = model;
  trial.controls = model.features.map((feature, index) => makeControl(feature, `feature-${index}`, changed));
  $("controls").replaceChildren(...trial.controls.map((control) => control.element));
  $("bars").replaceChildren(...model.labels.slice(0, MOST_BARS).map(makeBar));
  $("languages").replaceChildren(...LANGUAGES.map(makeLanguage));
  setRow(model.data_sample[0]);
}

/**
 * Put a row into the controls, and get its answer.
 * @param {Value[]} row
 */
export function setRow(row) {
  trial.controls.forEach((control, index) => control.write(row[index]));
  changed();
}

const makeBar = () => make("li", {}, make("span"), make("span", { class: "share" }), make("span", { class: "bar" }, make("span")));

/** @param {string} name */
function makeLanguage(name) {
  const choose = () => {
    trial.language = name;
    for (const button of $("languages").children) button.setAttribute("aria-pressed", String(button.textContent === name));
    showSnippet();
  };
  return make("button", { type: "button", click: choose, "aria-pressed": String(name === trial.language) }, name);
}

/** Send one request for all changes before a response; show a response only if no newer request was sent. */
export function changed() {
  const names = markUnseen(trial.controls, trial.model.features).map((one) => `${one.name} (${spread(one)})`);
  const warning = names.length ? `Outside the training data: ${names.join("; ")}` : "";
  if ($("outside").textContent !== warning) $("outside").textContent = warning;
  forgetExplanation();
  showSnippet();
  if (trial.timer !== undefined) return;
  const age = trial.flight ? performance.now() - trial.flight.started : PATIENCE;
  trial.timer = setTimeout(sendRow, Math.max(0, PATIENCE - age));
}

const readRow = () => trial.controls.map((control) => control.read());

/** @param {Value[]} row */
function findFault(row) {
  const index = row.findIndex((value) => Number.isNaN(value));
  if (index < 0) return "";
  const feature = trial.model.features[index];
  return `${feature.name}: ${trial.controls[index].fault() || `expected ${expected(feature)}`}`;
}

async function sendRow() {
  clearTimeout(trial.timer);
  trial.timer = undefined;
  trial.flight?.abort();
  const flight = (trial.flight = Object.assign(new AbortController(), { started: performance.now() }));
  try {
    const row = readRow();
    const fault = findFault(row);
    if (fault) throw new ServiceError(fault);
    // The batch route also returns the label, which may not be the most probable one.
    const { answer, milliseconds } = await ask("predict/batch", { body: JSON.stringify({ data: [row] }), signal: flight.signal });
    if (trial.flight === flight) showAnswer(row, answer.prediction[0], answer.label[0], milliseconds);
  } catch (error) {
    if (trial.flight === flight) showFault(/** @type {Error} */ (error).message);
  } finally {
    if (trial.flight === flight) {
      trial.flight = undefined;
      if (trial.timer !== undefined) sendRow();
    }
  }
}

/**
 * @param {Value[]} row
 * @param {number[]} probabilities
 * @param {string} label
 * @param {number} milliseconds
 */
function showAnswer(row, probabilities, label, milliseconds) {
  const { labels } = trial.model;
  const best = labels.indexOf(label);
  let shown = [...probabilities.keys()];
  if (shown.length > MOST_BARS) shown = shown.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, MOST_BARS);
  shown.forEach((index, place) => {
    const item = $("bars").children[place];
    const [name, share, bar] = item.children;
    item.classList.toggle("best", index === best);
    name.textContent = labels[index];
    share.textContent = percent(probabilities[index]);
    /** @type {HTMLElement} */ (bar.firstChild).style.width = `${100 * probabilities[index]}%`;
  });
  $("others").textContent = labels.length > shown.length ? `and ${labels.length - shown.length} less likely labels` : "";
  $("answer").setAttribute("aria-busy", "false");
  $("label").textContent = label;
  $("time").textContent = `${decimals(milliseconds, milliseconds < 10 ? 1 : 0)} ms`;
  $("try-fault").textContent = "";
  // After a pause, so that screen readers don't say each step of a slider.
  clearTimeout(trial.speech);
  trial.speech = setTimeout(() => ($("spoken").textContent = `${label}, ${percent(probabilities[best])}`), SETTLED);
  explainAnswer(trial.model, row, probabilities[best], best);
}

/** @param {string} message */
function showFault(message) {
  clearTimeout(trial.speech);
  forgetExplanation();
  $("answer").setAttribute("aria-busy", "false");
  $("label").textContent = $("time").textContent = $("spoken").textContent = "";
  for (const row of $("bars").children) {
    row.classList.remove("best");
    row.children[1].textContent = "";
    /** @type {HTMLElement} */ (row.children[2].firstChild).style.width = "0";
  }
  $("try-fault").textContent = message;
}

/** Show the request as code, or why there is none. */
function showSnippet() {
  const row = readRow();
  const fault = findFault(row);
  $("snippet").textContent = fault ? `No request yet. ${fault}` : writeSnippet(trial.language, row);
  field("copy").disabled = fault !== "";
}

async function copySnippet() {
  try {
    await navigator.clipboard.writeText($("snippet").textContent ?? "");
    $("copy").textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren($("snippet")); // over plain HTTP a page can't write to the clipboard
    $("copy").textContent = "Selected";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
}

$("features").addEventListener("submit", (event) => event.preventDefault());
$("reset").addEventListener("click", () => setRow(trial.model.data_sample[0]));
$("copy").addEventListener("click", copySnippet);
