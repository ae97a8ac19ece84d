// Many rows from a CSV: reading it, matching its columns, and showing the answers.

import { showAnswers } from "./answers.mjs";
import { sendRows } from "./batches.mjs";
import { findActual, looksLikeHeader, matchColumns } from "./columns.mjs";
import { decode, findMark, guessSeparator, parseCsv, SEPARATORS } from "./csv.mjs";
import { $, field, make } from "./elements.mjs";
import { spread } from "./features.mjs";
import { readLabels } from "./labels.mjs";
import { showQuality } from "./quality.mjs";
import { evenOut, findUnseen, readRows, sumUp } from "./rows.mjs";
import { setRow } from "./try.mjs";
import { count, decimals, list, whole } from "./words.mjs";

/** @typedef {import("./rows.mjs").FileRow} FileRow */

const SAMPLE_ROWS = 2_000; // that are used to find the columns
const MOST_MAPPED = 30; // values of a column that can be matched with labels

const table = {
  /** @type {import("./service.mjs").Model} */
  model: /** @type {any} */ (undefined),
  name: "",
  text: "",
  separator: ",",
  mark: ".",
  /** @type {import("./csv.mjs").Row[]} */
  records: [],
  /** @type {string[]} */
  header: [],
  /** @type {number[]} */
  columns: [],
  actual: -1,
  question: "",
  note: "",
  /** @type {number[][]} */
  unclear: [],
  /** @type {FileRow[]} */
  rows: [],
  /** @type {AbortController | undefined} */
  run: undefined,
  /** @type {Map<string, Map<string, number>>} the meanings of a column's values, as chosen by the user */
  meanings: new Map(),
};

const hasHeader = () => field("has-header").checked;
const data = () => table.records.slice(hasHeader() ? 1 : 0);

/**
 * Show which columns a file needs for a model.
 * @param {import("./service.mjs").Model} model
 */
export function showFile(model) {
  table.model = model;
  const names = model.features.map(({ name }) => name);
  $("file-hint").textContent = `Columns: ${list(names, 12)}. Add a column of actual labels to see how good the model is. The file is read in your browser and sent in batches.`;
  $("separator").replaceChildren(...Object.entries(SEPARATORS).map(([value, name]) => make("option", { value }, name)));
  forget();
}

function forget() {
  table.run?.abort();
  $("reading").hidden = $("quality").hidden = $("results").hidden = true;
  $("drop").classList.toggle("small", table.text !== "");
  $("file-fault").textContent = "";
}

/** @param {File} file */
async function openFile(file) {
  table.name = file.name;
  table.text = "";
  forget();
  try {
    table.text = decode(await file.arrayBuffer());
    table.separator = field("separator").value = guessSeparator(table.text);
  } catch (error) {
    $("file-fault").textContent = `${file.name}: ${/** @type {Error} */ (error).message}`;
    return;
  }
  readFile();
}

function readFile() {
  forget();
  const { model: { features, labels } } = table;
  try {
    $("file-name").textContent = table.name;
    const records = parseCsv(table.text, table.separator);
    if (!records.length) throw new Error("it has no rows, only blank lines");
    const { mark, isGuess } = findMark(records, table.separator);
    table.mark = field("mark").value = mark;
    table.note = isGuess ? "All commas are before three digits and read as decimal commas: 1,234 as 1.234. If they separate thousands, choose the point. " : "";
    table.records = evenOut(records);
    field("has-header").checked = looksLikeHeader(table.records, features, labels, mark);
    if (table.records.length === 1 && hasHeader()) throw new Error("it has no rows, only a header");
    if (table.records[0].cells.length === 1 && features.length > 1)
      throw new Error(`expected ${features.length} columns (${list(features.map(({ name }) => name))}), found one with every separator`);
  } catch (error) {
    $("file-fault").textContent = `${table.name}: ${/** @type {Error} */ (error).message}`;
    return;
  }
  findColumns();
}

/** Find the features' columns by name, or by order if there are no names and as many columns as features. */
function findColumns() {
  const { features, labels, model: { training } } = table.model;
  const width = table.records[0].cells.length;
  const names = table.records[0].cells.map((name) => (hasHeader() ? name.trim() : ""));
  table.header = names.map((name, index) => name || `column ${index + 1}`);
  Object.assign(table, matchColumns(names, features));
  const isExact = !hasHeader() && width === features.length;
  const free = isExact ? [] : [...names.keys()].filter((index) => !table.columns.includes(index));
  const found = findActual({ names, header: table.header, data: data().slice(0, SAMPLE_ROWS), free, labels, target: training?.target });
  table.actual = found.index;
  table.question = found.question;
  if (isExact || (!hasHeader() && width === features.length + 1 && found.index >= 0)) takeInOrder();
  showColumns();
  checkRows();
}

/** Use the remaining columns for the remaining features, in the file's order. */
function takeInOrder() {
  const left = freeColumns();
  table.columns = table.columns.map((column) => (column < 0 ? left.shift() ?? -1 : column));
}

const freeColumns = () => [...table.header.keys()].filter((index) => index !== table.actual && !table.columns.includes(index));

function showColumns() {
  const options = () => [make("option", { value: -1 }, "–"), ...table.header.map((name, value) => make("option", { value }, name))];
  $("actual").replaceChildren(...options());
  field("actual").value = String(table.actual);
  $("mapping").replaceChildren(...table.model.features.map(({ name }, index) => {
    const choose = (/** @type {Event} */ event) => {
      table.columns[index] = Number(/** @type {HTMLSelectElement} */ (event.target).value);
      checkRows();
    };
    const select = make("select", { id: `column-${index}`, change: choose }, ...options());
    select.value = table.columns[index];
    return make("div", {}, make("label", { for: `column-${index}` }, name), select);
  }));
  /** @type {HTMLDetailsElement} */ ($("columns")).open = table.columns.includes(-1) || !hasHeader();
  $("reading").hidden = false;
}

/** Read the rows again, or say what must be chosen first. */
function checkRows() {
  const { features } = table.model;
  const { columns, header, mark, unclear } = table;
  const missing = features.filter((_, index) => columns[index] < 0).map(({ name }) => name);
  const twice = columns.find((column, index) => column >= 0 && columns.indexOf(column) !== index);
  const rivals = unclear.findIndex((found, index) => found.length > 0 && columns[index] < 0);
  const free = freeColumns();
  table.rows = missing.length ? [] : readRows(data(), { width: header.length, columns, features, mark });
  const n = table.rows.filter(({ fault }) => !fault).length;
  const fault = rivals >= 0 ? `${count(unclear[rivals].length, "column")} may be ${features[rivals].name}: choose one below.`
    : missing.length ? `No column for ${list(missing)}: choose ${missing.length === 1 ? "one" : "them"} below.`
    : twice !== undefined ? `“${header[twice]}” is chosen for more than one feature.` : "";
  const order = !hasHeader() && !missing.length ? "There is no header, so the columns are used in the model's order. " : "";
  $("file-fault").textContent = fault;
  $("in-order").hidden = !missing.length || missing.length !== free.length;
  $("in-order").textContent = missing.length === features.length ? "Use the columns in the file's order" : `Use ${list(free.map((index) => `“${header[index]}”`))} for ${list(missing)}`;
  $("file-note").textContent = table.note + order;
  $("run").textContent = `Predict ${count(n, "row")}`;
  field("run").disabled = fault !== "" || n === 0;
  $("progress-text").textContent = "";
  $("quality").hidden = $("results").hidden = $("progress").hidden = true;
  showActual();
  showFaults();
}

/** Read the actual labels, and ask about unclear ones. */
function showActual() {
  const { actual, rows, model: { labels }, question } = table;
  const cells = rows.map((row) => (row.cells[actual] ?? "").trim());
  const { values, known, alike, areIds } = readLabels(actual < 0 ? [] : cells, labels);
  const key = `${table.name}\n${table.header[actual]}`;
  const meanings = table.meanings.get(key);
  rows.forEach((row, index) => (row.actual = meanings?.get(cells[index]) ?? known.get(cells[index]) ?? -1));
  const unknown = values.filter((value) => !known.has(value));
  $("actual-question").replaceChildren(...(actual < 0 && question ? [question] : []));
  if (!rows.length) return;
  if (actual < 0 || !unknown.length) {
    if (areIds) $("actual-question").textContent = `Its numbers are read as class ids: ${list([...known].map(([value, index]) => `${value} is ${labels[index]}`), 5)}.`;
    return;
  }
  const name = `“${table.header[actual]}”`;
  const have = `${known.size ? `${count(unknown.length, "value")} of ${name} ${unknown.length === 1 ? "is not a label" : "are not labels"}` : `None of the values of ${name} is a label`}: ${list(unknown.map((value) => `“${value}”`))}. The labels are ${list(labels)}.`;
  if (unknown.length > MOST_MAPPED) return void ($("actual-question").textContent = have);
  $("actual-question").replaceChildren(make("p", {}, have), makeMeanings(key, unknown, meanings ?? alike));
}

/**
 * Make the choice of a label for each value that isn't one.
 * @param {string} key
 * @param {string[]} values
 * @param {Map<string, number>} proposed
 */
function makeMeanings(key, values, proposed) {
  const fields = values.map((value, index) => {
    const id = `meaning-${index}`;
    const select = make("select", { id }, make("option", { value: -1 }, "leave its rows out"), ...table.model.labels.map((label, place) => make("option", { value: place }, label)));
    select.value = proposed.get(value) ?? -1;
    return { value, select, element: make("div", {}, make("label", { for: id }, `“${value}” is`), select) };
  });
  const use = () => {
    table.meanings.set(key, new Map(fields.map(({ value, select }) => [value, Number(select.value)])));
    showActual();
    showResults();
  };
  return make("div", {}, make("div", { class: "fields" }, ...fields.map(({ element }) => element)), make("button", { type: "button", id: "use-meanings", click: use }, "Use these labels"));
}

/** List the rows that can't be answered, and the values that the model wasn't trained on. */
function showFaults() {
  const bad = table.rows.filter(({ fault }) => fault);
  const items = bad.slice(0, 10).map(({ line, fault }) => make("li", {}, `line ${line}: ${fault}`));
  if (bad.length > 10) items.push(make("li", {}, `and ${whole(bad.length - 10)} more`));
  $("bad-rows").replaceChildren(...(bad.length ? [`${count(bad.length, "row")} can't be answered:`, make("ul", {}, ...items)] : []));
  const unseen = findUnseen(table.rows.filter(({ fault }) => !fault), table.model.features);
  const words = unseen.slice(0, 10).map(({ feature, n, examples }) => make("li", {}, `${feature.name}: ${examples.join(", ")}${examples.length === 3 ? " …" : ""} in ${count(n, "row")}; trained on ${spread(feature)}`));
  if (unseen.length > 10) words.push(make("li", {}, `and ${count(unseen.length - 10, "more feature")}`));
  $("unseen").replaceChildren(...(unseen.length ? ["Outside the training data:", make("ul", {}, ...words)] : []));
}

async function run() {
  const rows = table.rows.filter(({ fault }) => !fault);
  for (const row of rows) delete row.probabilities;
  const flight = (table.run = new AbortController());
  const started = performance.now();
  const progress = /** @type {HTMLProgressElement} */ ($("progress"));
  $("quality").hidden = $("results").hidden = true;
  $("file-fault").textContent = "";
  field("run").disabled = true;
  $("cancel").hidden = progress.hidden = false;
  $("progress-text").ariaBusy = "true"; // screen readers say only the end
  progress.max = rows.length;
  const tell = (/** @type {number} */ n) => {
    progress.value = n;
    $("progress-text").textContent = `${whole(n)} of ${count(rows.length, "row")}`;
  };
  try {
    tell(0);
    await sendRows(rows, table.model, flight.signal, tell);
  } catch (error) {
    if (!flight.signal.aborted) $("file-fault").textContent = /** @type {Error} */ (error).message;
  }
  if (table.run !== flight) return; // another file was opened
  table.run = undefined;
  const n = rows.filter(({ probabilities }) => probabilities).length;
  const seconds = (performance.now() - started) / 1000;
  $("progress-text").textContent = `${whole(n)} of ${count(rows.length, "row")} answered in ${decimals(seconds, seconds < 1 ? 2 : 1)} s`;
  field("run").disabled = false;
  $("progress-text").ariaBusy = "false";
  $("cancel").hidden = progress.hidden = true;
  showFaults();
  showResults();
}

/** Show the answers and, if the actual labels are known, how good they are. */
function showResults() {
  const { actual, header, model, name, rows, separator } = table;
  if (!rows.some(({ probabilities }) => probabilities)) return;
  const judged = rows.flatMap(({ probabilities, predicted, actual: is }) => (probabilities && is >= 0 ? [{ probabilities, predicted, actual: is }] : []));
  const kinds = rows.flatMap((row) => (row.probabilities ? (row.actual < 0 ? ["no actual label"] : []) : [row.kind || "not sent"]));
  $("quality").hidden = !judged.length;
  if (judged.length) showQuality(judged, kinds.length ? `; ${whole(kinds.length)} left out: ${sumUp(kinds)}` : "", header[actual], model.labels);
  const onTry = (/** @type {FileRow} */ row) => {
    setRow(row.values);
    location.hash = "try";
  };
  showAnswers({ model, name, separator, header, actual, rows, onTry });
}

$("file").addEventListener("change", ({ target }) => {
  const input = /** @type {HTMLInputElement} */ (target);
  if (input.files?.[0]) openFile(input.files[0]);
  input.value = ""; // so that the same file can be chosen again
});
for (const name of /** @type {const} */ (["dragover", "dragleave", "drop"]))
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    const file = event.dataTransfer?.files[0];
    if (name !== "drop" || !file || !table.model) return;
    location.hash = "file";
    openFile(file);
  });
$("separator").addEventListener("change", () => {
  table.separator = field("separator").value;
  readFile();
});
$("mark").addEventListener("change", () => {
  table.mark = field("mark").value;
  table.note = "";
  checkRows();
});
$("has-header").addEventListener("change", findColumns);
$("in-order").addEventListener("click", () => {
  takeInOrder();
  showColumns();
  checkRows();
});
$("actual").addEventListener("change", () => {
  table.actual = Number(field("actual").value);
  table.question = "";
  if (table.columns.includes(-1)) return checkRows(); // another column is free for them
  showActual();
  showResults();
});
$("reading").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
$("cancel").addEventListener("click", () => table.run?.abort());
