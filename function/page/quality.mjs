// Shows how good the model is: figures, each label, calibration, confusion matrix.

import { $, make, makeCard, makeHint, makeRegion, makeTable } from "./elements.mjs";
import { makeCalibration } from "./calibration.mjs";
import { score } from "./scores.mjs";
import { count, decimals, percent, whole } from "./words.mjs";

/** @typedef {import("./scores.mjs").Scores} Scores */

const MOST_CLASSES = 40; // in the confusion matrix
const MOST_BESIDE = 5; // labels; a larger matrix isn't beside the calibration curve
const MOST_LEVEL = 8; // labels; with more, the matrix writes them vertically
const MOST_PAIRS = 8;

/**
 * Score the rows, and show the result.
 * @param {import("./scores.mjs").Judged[]} rows
 * @param {string} left the rows that were left out, in words
 * @param {string} column of the actual labels
 * @param {string[]} labels
 */
export function showQuality(rows, left, column, labels) {
  const result = score(rows, labels.length);
  const { usual, macro, classes } = result;
  const share = result.right / result.n;
  const base = `Always predicting “${labels[usual.index]}” would be right in ${percent(usual.n / result.n)}. Training rows make it look better.`;
  const headline = make("div", { class: "card all figures" },
    makeFigure("Accuracy", percent(share), `of ${count(result.n, "row")}${left}`, "accuracy"),
    makeFigure("F1", decimals(macro.f1, 3), "mean over the labels (macro)"),
    makeFigure("ROC AUC", macro.auc === undefined ? "–" : decimals(macro.auc, 3), "one against the rest, mean; 0.5 is chance"),
    makeFigure("Log loss", decimals(result.logLoss, 3), "0 is certain and right"),
    makeHint(`${whole(result.right)} of ${count(result.n, "row")} right. Actual labels from “${column}”. ${base}`));
  const each = makeCard("Each label", makeClasses(result, labels));
  const calibration = makeCard("Calibration", makeHint("When it says 80%, is it right in 80%?"), makeCalibration(result));
  const matrix = makeCard("Confusion matrix", ...makeMatrix(result, labels));
  const isWide = classes.length > MOST_BESIDE;
  if (isWide) matrix.classList.add("all");
  const parts = isWide ? [each, calibration, matrix] : [make("div", { class: "stack" }, each, matrix), calibration];
  $("quality").replaceChildren(make("div", { class: "panels two" }, headline, ...parts));
  $("quality").hidden = false;
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} note
 * @param {string} [id]
 */
const makeFigure = (name, value, note, id) =>
  make("div", {}, make("h3", {}, name), make("p", { class: "big", id }, value), make("p", { class: "hint", id: id && `${id}-note` }, note));

/**
 * @param {Scores} scores
 * @param {string[]} labels
 */
function makeClasses({ classes }, labels) {
  const share = (/** @type {number | undefined} */ value) => (value === undefined ? "–" : decimals(value, 3));
  const rows = classes.map(({ index, n, precision, recall, f1, auc }) => [labels[index], share(precision), share(recall), share(f1), share(auc), n]);
  const region = makeTable("Precision, recall and F1 of each label", "classes", ["Label", "Precision", "Recall", "F1", "ROC AUC", "Rows"], rows);
  for (const cell of region.querySelectorAll("th:nth-child(n+2), td")) cell.className = "number";
  return region;
}

/**
 * @param {Scores} scores
 * @param {string[]} labels
 * @returns {Node[]}
 */
function makeMatrix({ matrix, classes }, labels) {
  const shown = classes.slice().sort((a, b) => b.n - a.n).slice(0, MOST_CLASSES).sort((a, b) => a.index - b.index);
  const heads = shown.map(({ index }) => make("th", { scope: "col", title: labels[index] }, make("span", {}, labels[index])));
  const rows = shown.map(({ index, n }, place) =>
    make("tr", {},
      ...(place ? [] : [make("th", { class: "axis", rowspan: shown.length, scope: "rowgroup" }, make("span", {}, "Actual"))]),
      make("th", { scope: "row", title: labels[index] }, labels[index]),
      ...shown.map((other) => {
        const hits = matrix[index][other.index];
        const words = `${labels[index]} predicted as ${labels[other.index]}: ${whole(hits)}`;
        const cell = make("td", { class: other.index === index ? "hit" : hits ? "miss" : "none", title: words }, whole(hits));
        cell.style.setProperty("--share", n ? hits / n : 0);
        return cell;
      })));
  const table = make("table", { class: shown.length > MOST_LEVEL ? "matrix dense" : "matrix", id: "matrix" },
    make("thead", {},
      make("tr", {}, make("td", { colspan: 2 }), make("th", { class: "axis", colspan: shown.length, scope: "colgroup" }, "Predicted")),
      make("tr", {}, make("td", { colspan: 2 }), ...heads)),
    make("tbody", {}, ...rows));
  const note = shown.length < classes.length ? [makeHint(`The ${MOST_CLASSES} most frequent of ${classes.length} labels.`)] : [];
  return [makeRegion("Confusion matrix", table), ...note, ...(shown.length > MOST_BESIDE ? [makePairs(matrix, labels)] : [])];
}

/**
 * List the pairs that are confused most often.
 * @param {number[][]} matrix
 * @param {string[]} labels
 */
function makePairs(matrix, labels) {
  const pairs = matrix.flatMap((row, actual) => row.flatMap((n, predicted) => (n && actual !== predicted ? [{ n, actual, predicted }] : [])));
  pairs.sort((a, b) => b.n - a.n);
  const items = pairs.slice(0, MOST_PAIRS).map(({ n, actual, predicted }) => make("li", {}, `${labels[actual]} predicted as ${labels[predicted]}: ${whole(n)}`));
  return items.length ? make("div", { class: "pairs" }, make("p", {}, "Confused most often"), make("ol", {}, ...items)) : makeHint("No labels are confused.");
}
