// Records of a file → rows for the model, and the faults of some.

import { expected, isGap, isUnseen, readValue } from "./features.mjs";

/** @typedef {import("./features.mjs").Feature} Feature */
/** @typedef {import("./features.mjs").Value} Value */
/**
 * @typedef {object} FileRow
 * @property {number} line
 * @property {string[]} cells
 * @property {Value[]} values
 * @property {string} fault why it has no answer
 * @property {string} kind of fault, for a summary
 * @property {number[]} [probabilities]
 * @property {number} predicted the position of its label; −1 without an answer
 * @property {number} actual the position of its actual label; −1 where that isn't known
 */

/**
 * Give the header and the records the same number of cells, if all records have one more: a separator at their end,
 * or R's row names, which have no header.
 * @param {import("./csv.mjs").Row[]} records
 */
export function evenOut([head, ...data]) {
  const width = head.cells.length;
  if (!data.length || !data.every(({ cells }) => cells.length === width + 1)) return [head, ...data];
  if (data.every(({ cells }) => cells[width] === "")) return [head, ...data.map(({ line, cells }) => ({ line, cells: cells.slice(0, width) }))];
  return [{ line: head.line, cells: ["", ...head.cells] }, ...data];
}

/**
 * Read records as rows.
 * @param {import("./csv.mjs").Row[]} data
 * @param {{ width: number, columns: number[], features: Feature[], mark: string }} form
 * @returns {FileRow[]}
 */
export function readRows(data, { width, columns, features, mark }) {
  return data.map(({ line, cells }) => {
    /** @type {FileRow} */
    const row = { line, cells, values: [], fault: "", kind: "", predicted: -1, actual: -1 };
    if (cells.length !== width) return blame(row, "another number of columns", `expected ${width} column${width === 1 ? "" : "s"}, got ${cells.length}`);
    if (cells.every((cell) => cell.trim() === "")) return blame(row, "empty", "it is empty");
    features.forEach((feature, index) => {
      const cell = cells[columns[index]] ?? "";
      const value = readValue(cell, feature, mark);
      row.values.push(value);
      if (!Number.isNaN(value) || row.fault) return;
      const isMissing = isGap(cell, feature);
      const got = cell.trim() === "" ? "nothing" : `“${cell.slice(0, 40)}”`;
      blame(row, isMissing ? "missing values" : "values that can't be read", `“${feature.name}”: expected ${expected(feature)}, got ${got}`);
    });
    return row;
  });
}

/**
 * Note why a row has no answer.
 * @param {FileRow} row
 * @param {string} kind
 * @param {string} fault
 */
export const blame = (row, kind, fault) => Object.assign(row, { kind, fault });

/**
 * Summarize why rows were left out: "38 missing values, 3 no actual label".
 * @param {string[]} kinds
 */
export function sumUp(kinds) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.map(([kind, n]) => (counts.size === 1 ? kind : `${n.toLocaleString("en")} ${kind}`)).join(", ");
}

/**
 * Find the features with values outside the training data, and the first such values.
 * @param {FileRow[]} rows
 * @param {Feature[]} features
 */
export function findUnseen(rows, features) {
  return features.flatMap((feature, index) => {
    const values = rows.flatMap((row) => (isUnseen(row.values[index], feature) ? [row.values[index]] : []));
    const examples = [...new Set(values)].slice(0, 3).map((value) => (typeof value === "string" ? `“${value.slice(0, 40)}”` : String(value)));
    return values.length ? [{ feature, n: values.length, examples }] : [];
  });
}
