// Reads the values of a column as labels.

import { readNumber } from "./features.mjs";
import { plain } from "./words.mjs";

/**
 * Read the values of a column as label indexes: by text, by number, else as class ids 0, 1, 2.
 * @param {string[]} cells
 * @param {string[]} labels
 * @returns {{ values: string[], known: Map<string, number>, alike: Map<string, number>, areIds: boolean }} the distinct
 *   values, those that are labels, and those that are similar to exactly one label ("Iris-setosa")
 */
export function readLabels(cells, labels) {
  const values = [...new Set(cells.map((cell) => cell.trim()).filter(Boolean))];
  const known = new Map(values.flatMap((value) => {
    const index = find(value, labels);
    return index < 0 ? [] : [[value, index]];
  }));
  const hasFigures = labels.every((label) => !Number.isNaN(readNumber(label)));
  const areIds = !known.size && !hasFigures && values.length > 0 && values.every((value) => isId(value, labels.length));
  if (areIds) values.forEach((value) => known.set(value, Number(value)));
  const alike = new Map();
  for (const value of values.length > 1000 ? [] : values) {
    const like = known.has(value) ? [] : labels.filter((label) => plain(label).length > 2 && plain(value).includes(plain(label)));
    if (like.length === 1) alike.set(value, labels.indexOf(like[0]));
  }
  return { values, known, alike, areIds };
}

/**
 * @param {string} value
 * @param {string[]} labels
 */
function find(value, labels) {
  const index = labels.indexOf(value);
  if (index >= 0) return index;
  const number = readNumber(value);
  const same = labels.map((label, position) => ({ label, position })).filter(({ label }) =>
    Number.isNaN(number) ? plain(label) !== "" && plain(label) === plain(value) && isWord(label) === isWord(value) : readNumber(label) === number);
  return same.length === 1 ? same[0].position : -1;
}

// "<=50K" and ">50K" differ by more than case and spaces.
const isWord = (/** @type {string} */ text) => /^[\p{L}\p{N}\s_-]+$/u.test(text);

const isId = (/** @type {string} */ value, /** @type {number} */ n) => /^\d+(\.0+)?$/.test(value) && Number(value) < n;

/**
 * Return whether a column numbers the rows.
 * @param {string[]} cells
 * @param {string} name
 */
export function isIndex(cells, name) {
  if (/^(unnamed: \d+|index|id|row|row\.names)$/i.test(name)) return true;
  const first = Number(cells[0]);
  return cells.length > 2 && (first === 0 || first === 1) && cells.every((cell, place) => Number(cell) === first + place);
}
