// Finds the columns of the features and of the actual labels by name; otherwise the page asks.

import { readNumber } from "./features.mjs";
import { isIndex, readLabels } from "./labels.mjs";
import { plain } from "./words.mjs";

/** @typedef {import("./csv.mjs").Row} Row */
/** @typedef {import("./features.mjs").Feature} Feature */

// Usual names of a column of actual labels.
const USUAL = ["actual", "class", "classlabel", "label", "labels", "outcome", "response", "target", "truth", "y", "ytrue"];

const WHICH = "Which column holds the actual labels?";
const withoutUnit = (/** @type {string} */ text) => plain(text.replace(/\([^)]*\)|\[[^\]]*\]/g, ""));

/**
 * Return whether the first line names the columns.
 * @param {Row[]} records
 * @param {Feature[]} features
 * @param {string[]} labels
 * @param {string} mark
 */
export function looksLikeHeader(records, features, labels, mark) {
  const [first, ...others] = records.slice(0, 200).map(({ cells }) => cells);
  if (matchColumns(first, features).columns.some((column) => column >= 0)) return true;
  const figures = first[0] === "" ? first.slice(1) : first;
  if (figures.length > 1 && figures.every((cell, index) => cell === String(index))) return true; // pandas' default names
  const isValue = (cell = "") => /^\s*(true|false)\s*$/i.test(cell) || !Number.isNaN(readNumber(cell, mark));
  if (first.some(isValue)) return false;
  if (others[0]?.some(isValue)) return true;
  // Only texts: the name of a column of labels isn't a label itself.
  return first.some((cell, index) => {
    const column = others.map((cells) => cells[index] ?? "");
    const n_labels = column.filter((other) => labels.includes(other.trim())).length;
    return n_labels > column.length / 2 && !labels.includes(cell.trim());
  });
}

/**
 * Match features and columns by name: as it is, then without case and signs, then without units in brackets. Use a
 * looser way only if a stricter one finds nothing.
 * @param {string[]} header
 * @param {Feature[]} features
 * @returns {{ columns: number[], unclear: number[][] }} for each feature its column or −1, and the possible columns
 */
export function matchColumns(header, features) {
  const columns = features.map(() => -1);
  /** @type {number[][]} */
  const unclear = features.map(() => []);
  for (const key of [(/** @type {string} */ text) => text.trim(), plain, withoutUnit]) {
    const names = header.map(key);
    const wanted = features.map(({ name }) => key(name));
    wanted.forEach((name, index) => {
      if (name === "" || columns[index] >= 0 || unclear[index].length) return;
      const found = [...names.keys()].filter((column) => names[column] === name && !columns.includes(column));
      const isOnly = wanted.filter((other) => other === name).length === 1;
      if (found.length === 1 && isOnly) columns[index] = found[0];
      else if (found.length) unclear[index] = found;
    });
  }
  return { columns, unclear };
}

/**
 * Find the column of the actual labels among those that aren't features.
 * @param {{ names: string[], header: string[], data: Row[], free: number[], labels: string[], target?: string }} file with
 *   the names of its columns, which may be empty, and the names that the page shows
 * @returns {{ index: number, question: string }} −1 without one; a question if several fit, or none for sure
 */
export function findActual({ names, header, data, free, labels, target }) {
  const quote = (/** @type {number[]} */ columns) => columns.map((index) => `“${header[index]}”`).join(" and ");
  const named = free.filter((index) => target && plain(names[index]) === plain(target));
  if (named.length === 1) return { index: named[0], question: "" };
  const kinds = free.map((index) => ({ index, kind: judge(data.map(({ cells }) => cells[index] ?? ""), names[index], labels) }));
  const of = (/** @type {string} */ kind) => kinds.filter((one) => one.kind === kind).map(({ index }) => index);
  for (const kind of ["labels", "alike"]) {
    const found = of(kind);
    if (found.length === 1) return { index: found[0], question: "" };
    if (found.length > 1) return { index: -1, question: `${WHICH} ${quote(found)} both fit.` };
  }
  const figures = of("figures");
  const isUsual = (/** @type {number} */ index) => USUAL.includes(plain(names[index]));
  if (figures.length > 1) return { index: -1, question: `${WHICH} ${quote(figures)} fit by their numbers.` };
  if (figures.length && (!target || names[figures[0]] === "" || isUsual(figures[0]))) return { index: figures[0], question: "" };
  if (figures.length)
    return { index: -1, question: `Does ${quote(figures)} hold the actual labels? Its numbers fit, but the model was trained on labels called “${target}”.` };
  return { index: free.find(isUsual) ?? -1, question: "" };
}

/**
 * Return what a column contains: labels, texts similar to labels, or numbers that may be class ids.
 * @param {string[]} cells
 * @param {string} name
 * @param {string[]} labels
 */
function judge(cells, name, labels) {
  const filled = cells.map((cell) => cell.trim()).filter(Boolean);
  if (!filled.length || isIndex(filled, name)) return "";
  const { known, alike } = readLabels(filled, labels);
  const share = (/** @type {Map<string, number>} */ found) => filled.filter((cell) => found.has(cell)).length / filled.length;
  const hasFigures = [...known.keys()].every((value) => !Number.isNaN(readNumber(value)));
  if (share(known) > 0.5) return !hasFigures ? "labels" : share(known) === 1 ? "figures" : "";
  return share(alike) > 0.5 ? "alike" : "";
}
