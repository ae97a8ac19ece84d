// CSV as in RFC 4180 and as spreadsheets write it: comma, semicolon or tab, quoted fields, BOM, decimal commas.

/** @typedef {{ line: number, cells: string[] }} Row a record, with the line that it starts on */

/** @type {Record<string, string>} */
export const SEPARATORS = { "\t": "tab", ";": "semicolon", ",": "comma", "|": "bar", "\0": "none: one column" };

const NAMES_SEPARATOR = /^sep=(.)(?=\r|\n)/i; // a first line that Excel writes

/** @type {[RegExp, string][]} */
const FORMATS = [
  [/^PK\x03\x04/, "a spreadsheet or an archive (.xlsx, .ods, .zip)"],
  [/^\xD0\xCF\x11\xE0/, "an old Excel file (.xls)"],
  [/^PAR1/, "a Parquet file"],
  [/^\x1F\x8B|^BZh|^\xFD7zXZ|^\x28\xB5\x2F\xFD/, "a compressed file"],
  [/^%PDF/, "a PDF"],
  [/^\s*<(!doctype|html|\?xml)/i, "an HTML or XML file"],
  [/^\s*[[{]\s*["{[\]}]/, "a JSON file"],
];

/**
 * Decode a file: UTF-8, UTF-16, else the encoding of Western spreadsheets.
 * @param {ArrayBuffer} buffer
 * @throws with the kind of file, if it isn't text
 */
export function decode(buffer) {
  const bytes = new Uint8Array(buffer);
  if (!bytes.length) throw new Error("it is empty, 0 bytes");
  const start = String.fromCharCode(...bytes.subarray(0, 64)).replace(/^\xEF\xBB\xBF/, "");
  const format = FORMATS.find(([pattern]) => pattern.test(start))?.[1];
  if (format) throw new Error(`it is ${format}. Save it as CSV and choose that; in Excel: File, Save As, “CSV UTF-8”`);
  const text = new TextDecoder(nameEncoding(bytes)).decode(buffer); // without the BOM
  if (text.includes("\0")) throw new Error("it isn't a text. Save it as CSV and choose that");
  return text;
}

/** @param {Uint8Array} bytes */
function nameEncoding(bytes) {
  const [first, second, third, fourth] = bytes;
  if ((first === 0xff && second === 0xfe) || (first && second === 0 && third && fourth === 0)) return "utf-16le";
  if ((first === 0xfe && second === 0xff) || (first === 0 && second && third === 0 && fourth)) return "utf-16be";
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return "utf-8";
  } catch {
    return "windows-1252";
  }
}

/**
 * Read records, without blank lines and without a first line that names the separator.
 * @param {string} text
 * @param {string} separator
 * @returns {Row[]}
 */
export function parseCsv(text, separator) {
  /** @type {Row[]} */
  const records = [];
  /** @type {string[]} */
  let cells = [];
  let start = 1, line = 1, at = 0;
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
    const isBlank = cells.length === 1 && cells[0].trim() === "";
    if (!isBlank && !(start === 1 && NAMES_SEPARATOR.test(text))) records.push({ line: start, cells });
    cells = [];
    start = ++line;
  }
  return records;
}

/**
 * Return the separator that the file names, else the first one that gives most first lines the same number of columns.
 * @param {string} text
 */
export function guessSeparator(text) {
  const named = NAMES_SEPARATOR.exec(text)?.[1];
  if (named && named in SEPARATORS) return named;
  const head = text.slice(0, 20_000).split(/\r\n?|\n/).slice(0, 30).join("\n");
  for (const separator of ["\t", ";", ",", "|"]) {
    try {
      const widths = parseCsv(head, separator).map((record) => record.cells.length);
      const usual = widths.slice().sort((a, b) => a - b)[widths.length >> 1];
      if (usual > 1 && widths.filter((width) => width === usual).length > widths.length / 2) return separator;
    } catch {
      // the cut has left a quote open
    }
  }
  return ",";
}

/**
 * Find the decimal mark, and whether it is a guess: 1,234 may be more than a thousand.
 * @param {Row[]} records
 * @param {string} separator
 * @returns {{ mark: "." | ",", isGuess: boolean }}
 */
export function findMark(records, separator) {
  if (separator === ",") return { mark: ".", isGuess: false };
  const cells = records.slice(0, 1000).flatMap((record) => record.cells);
  const commas = cells.filter((cell) => /^\s*[+-]?\d*,\d+(e[+-]?\d+)?\s*$/i.test(cell));
  const hasPoint = cells.some((cell) => /^\s*[+-]?\d*\.\d+(e[+-]?\d+)?\s*$/i.test(cell));
  const isGuess = commas.length > 0 && commas.every((cell) => /^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$/.test(cell));
  return { mark: commas.length > 0 && !hasPoint ? "," : ".", isGuess: isGuess && !hasPoint };
}

// A spreadsheet would run these as formulas: OWASP's "CSV injection".
const FORMULA = /^\s*[=+\-@＝＋－＠]|^[\t\r]/;
const FIGURE = /^\s*[+-]?[.,]?\d[\d.,]*(e[+-]?\d+)?\s*$/i; // in any notation

/**
 * Write records; an apostrophe before a formula that isn't a number keeps a spreadsheet from running it.
 * @param {(string | number)[][]} rows
 * @param {string} separator
 */
export function writeCsv(rows, separator) {
  const guard = (/** @type {string} */ cell) => (FORMULA.test(cell) && !FIGURE.test(cell) ? `'${cell}` : cell);
  const quote = (/** @type {string} */ cell) => (/[",;|\t\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return rows.map((cells) => `${cells.map((cell) => quote(guard(String(cell)))).join(separator === "\0" ? "," : separator)}\r\n`).join("");
}
