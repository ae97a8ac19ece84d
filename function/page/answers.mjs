// The answers to a file's rows: a table that only creates the visible rows, and a file to download.

import { $, field, make, save } from "./elements.mjs";
import { isUnseen } from "./features.mjs";
import { writeCsv } from "./csv.mjs";
import { brief, count, percent } from "./words.mjs";

/** @typedef {import("./rows.mjs").FileRow} FileRow */
/** @typedef {{ model: import("./service.mjs").Model, name: string, separator: string, header: string[], actual: number, rows: FileRow[], onTry: (row: FileRow) => void }} Answers */
/** @typedef {{ title: string, kind?: string, text: (row: FileRow) => string, isOut?: (row: FileRow) => boolean }} Column */

const ORDERS = { mistakes: "worst mistakes first", doubts: "least confident first", file: "as in the file" };
const ROW_HEIGHT = 33; // pixels, as in page.css
const SPARE = 15; // rows above and below the visible ones
const MOST_WIDE = 28; // characters of a column

/** @type {{ answers?: Answers, sorted: FileRow[], columns: Column[], first: number }} */
const view = { sorted: [], columns: [], first: -1 };

/** @param {FileRow} row */
const confidence = ({ probabilities, predicted }) => probabilities?.[predicted] ?? 0;

/**
 * Show the answers, the worst mistakes first if the actual labels are known.
 * @param {Answers} answers
 */
export function showAnswers(answers) {
  view.answers = answers;
  const isJudged = answers.rows.some(({ probabilities, actual }) => probabilities && actual >= 0);
  const orders = Object.entries(ORDERS).filter(([value]) => isJudged || value !== "mistakes");
  $("order").replaceChildren(...orders.map(([value, name]) => make("option", { value }, name)));
  field("order").value = isJudged ? "mistakes" : "file";
  view.columns = makeColumns(answers);
  $("results").hidden = false;
  sortAnswers();
}

/**
 * @param {Answers} answers
 * @returns {Column[]}
 */
function makeColumns({ model: { features, labels }, actual }) {
  const judged = [
    { title: "Actual", text: (/** @type {FileRow} */ { cells, actual: is }) => (is < 0 ? cells[actual] ?? "" : labels[is]) },
    { title: "P(actual)", kind: "number", text: (/** @type {FileRow} */ { probabilities, actual: is }) => (is < 0 ? "–" : percent(probabilities?.[is] ?? 0)) },
  ];
  return [
    { title: "Line", kind: "number", text: ({ line }) => String(line) },
    { title: "Predicted", kind: "said", text: ({ predicted }) => labels[predicted] },
    { title: "Confidence", kind: "number", text: (row) => percent(confidence(row)) },
    ...(actual >= 0 ? judged : []),
    ...features.map((feature, index) => ({
      title: feature.name,
      kind: ["string", "bool"].includes(feature.type) ? "" : "number",
      text: (/** @type {FileRow} */ { values }) => (values[index] === null ? "" : brief(values[index])),
      isOut: (/** @type {FileRow} */ { values }) => isUnseen(values[index], feature),
    })),
  ];
}

function sortAnswers() {
  const rows = (view.answers?.rows ?? []).filter(({ probabilities }) => probabilities);
  // By the probability of the actual label, lowest first; all correct answers come after the wrong ones.
  const blame = (/** @type {FileRow} */ row) => (row.actual < 0 ? 3 : row.predicted === row.actual ? 1 + confidence(row) : row.probabilities?.[row.actual] ?? 0);
  const key = { mistakes: blame, doubts: confidence, file: () => 0 }[field("order").value] ?? confidence;
  view.sorted = rows.map((row) => ({ row, by: key(row) })).sort((a, b) => a.by - b.by).map(({ row }) => row);
  makeFrame();
}

/** Create the table's head and its columns, with fixed widths. */
function makeFrame() {
  const { columns, sorted } = view;
  const shown = [...sorted.slice(0, 100), ...sorted.slice(-100)];
  const widths = columns.map(({ title, text }) => Math.min(MOST_WIDE, Math.max(title.length, ...shown.map((row) => text(row).length))) + 3);
  const sizes = [...widths, 8].map((width) => {
    const column = make("col");
    column.style.width = `${width}ch`;
    return column;
  });
  const heads = [...columns.map(({ title, kind }) => make("th", { scope: "col", class: kind, title }, title)), make("th", { scope: "col" }, "Try")];
  const table = $("table");
  table.style.minWidth = `${widths.reduce((sum, width) => sum + width, 8)}ch`;
  table.setAttribute("aria-rowcount", String(sorted.length + 1));
  table.replaceChildren(make("colgroup", {}, ...sizes), make("thead", {}, make("tr", { "aria-rowindex": 1 }, ...heads)), make("tbody", {}));
  $("shown").textContent = count(sorted.length, "row");
  $("table-scroll").scrollTop = 0;
  view.first = -1;
  showWindow();
}

/** Create the visible rows, between two spaces as high as all rows before and after them. */
function showWindow() {
  const { clientHeight, scrollTop } = $("table-scroll");
  const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - SPARE);
  const steady = first - (first % 10); // doesn't change at each step of a wheel
  const body = $("table").querySelector("tbody");
  if (steady === view.first || !body) return;
  view.first = steady;
  const last = Math.min(view.sorted.length, steady + Math.ceil((clientHeight || 600) / ROW_HEIGHT) + 2 * SPARE + 10);
  const rows = view.sorted.slice(steady, last).map((row, index) => makeRow(row, steady + index));
  body.replaceChildren(makeSpace(steady), ...rows, makeSpace(view.sorted.length - last));
}

/** @param {number} n_rows */
function makeSpace(n_rows) {
  const space = make("tr", { class: "space", "aria-hidden": "true" });
  space.style.height = `${n_rows * ROW_HEIGHT}px`;
  return space;
}

/**
 * @param {FileRow} row
 * @param {number} place
 */
function makeRow(row, place) {
  const cells = view.columns.map(({ kind = "", text, isOut }) => make("td", { class: isOut?.(row) ? `${kind} out` : kind, title: text(row).length > MOST_WIDE ? text(row) : undefined }, text(row)));
  const retry = make("button", { type: "button", "aria-label": `Try line ${row.line}`, click: () => view.answers?.onTry(row) }, "Try");
  return make("tr", { class: row.actual >= 0 && row.actual !== row.predicted ? "wrong" : "", "aria-rowindex": place + 2 }, ...cells, make("td", {}, retry));
}

/** Download the file as it came, each line with its answer, or with the reason why it has none. */
function download() {
  if (!view.answers) return;
  const { model: { labels }, name, header, rows, separator } = view.answers;
  const head = [...header, "predicted", ...labels.map((label) => `p(${label})`), "error"];
  const blank = labels.map(() => "");
  const lines = rows.map(({ cells, probabilities, predicted, fault }) => {
    const filled = header.map((_, index) => cells[index] ?? "");
    return [...filled, ...(probabilities ? [labels[predicted], ...probabilities] : ["", ...blank]), fault];
  });
  save(`${name.replace(/\.\w+$/, "")} predicted.csv`, `\ufeff${writeCsv([head, ...lines], separator)}`);
}

$("order").addEventListener("change", sortAnswers);
$("download").addEventListener("click", download);
$("table-scroll").addEventListener("scroll", showWindow, { passive: true });
