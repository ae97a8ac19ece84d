"use strict";
// CSV as RFC 4180 has it, and as spreadsheets write it: comma, semicolon or tab, quoted fields, BOM, decimal commas.

const SEPARATORS = { "\t": "tab", ";": "semicolon", ",": "comma", "\0": "none: one column" };

/** Decode a file: UTF-8, UTF-16 with its BOM, else what Western spreadsheets write. */
function decode(bytes) {
  const [first, second] = new Uint8Array(bytes);
  const encoding = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes); // without the BOM
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** Read records, each with the line that it starts on; blank lines are left out. */
function parseCsv(text, separator) {
  const records = [];
  let cells = [], start = 1, line = 1, at = 0;
  while (at < text.length) {
    let end = at;
    if (text[at] === '"') {
      do {
        end = text.indexOf('"', end + 1);
        if (end < 0) throw new Error(`line ${line}: a quoted field is never closed`);
      } while (text[++end] === '"');
      const cell = text.slice(at + 1, end - 1);
      cells.push(cell.replaceAll('""', '"'));
      line += cell.split("\n").length - 1;
      if (end < text.length && !`${separator}\r\n`.includes(text[end]))
        throw new Error(`line ${line}: expected the separator after a quoted field; a quote within one is written twice`);
    } else {
      while (end < text.length && text[end] !== separator && text[end] !== "\n" && text[end] !== "\r") end++;
      cells.push(text.slice(at, end));
    }
    at = end + 1;
    if (text[end] === separator && at < text.length) continue;
    if (text[end] === separator) cells.push("");
    if (text[end] === "\r" && text[at] === "\n") at++;
    if (cells.length > 1 || cells[0].trim() !== "") records.push({ line: start, cells });
    cells = [];
    start = ++line;
  }
  return records;
}

/** The first separator that gives most of the first lines the same number of columns. */
function guessSeparator(text) {
  const head = text.slice(0, 20_000).split("\n").slice(0, 30).join("\n");
  for (const separator of ["\t", ";", ","]) {
    try {
      const widths = parseCsv(head, separator).map((record) => record.cells.length);
      const usual = widths.slice().sort((a, b) => a - b)[widths.length >> 1];
      if (usual > 1 && widths.filter((width) => width === usual).length > widths.length / 2) return separator;
    } catch {
      // a quote that the cut has left open
    }
  }
  return ",";
}

/** A cell as a finite number, or NaN; a decimal comma only where commas don't separate. */
function toNumber(cell, separator) {
  const text = separator === "," ? cell.trim() : cell.trim().replace(",", ".");
  const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
  return Number.isFinite(number) ? number : NaN;
}

const GAPS = ["na", "n/a", "nan", "null", "none"]; // as others write a number that is missing

/** A cell as a feature's value: null where one may be missing and is, NaN where it is none. */
function toValue(cell, { type, missing }, separator) {
  const text = cell.trim();
  if (missing && (text === "" || (type !== "string" && GAPS.includes(text.toLowerCase())))) return null;
  if (type === "string") return cell;
  if (type === "bool") return { true: true, false: false, 1: true, 0: false }[text.toLowerCase()] ?? NaN;
  const number = toNumber(cell, separator);
  return WHOLE.includes(type) && !Number.isInteger(number) ? NaN : number;
}

const expected = ({ type }) => (type === "bool" ? "true or false" : `a ${WHOLE.includes(type) ? "whole " : ""}number`);

// A spreadsheet runs these, whoever wrote them: https://owasp.org/www-community/attacks/CSV_Injection
const FORMULA = /^\s*[=+\-@＝＋－＠]|^[\t\r]/;
const NUMBER = /^\s*[+-]?[.,]?\d[\d.,]*(e[+-]?\d+)?\s*$/i; // in whatever notation

/** Write records; an apostrophe before what isn't a number keeps a spreadsheet from running it. */
function writeCsv(rows, separator) {
  const guard = (cell) => (FORMULA.test(cell) && !NUMBER.test(cell) ? `'${cell}` : cell);
  const quote = (cell) => (/[",;\t\r\n]|^\s|\s$/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
  return rows.map((cells) => `${cells.map(guard).map(quote).join(separator === "\0" ? "," : separator)}\r\n`).join("");
}
