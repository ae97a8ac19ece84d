import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decode, findMark, guessSeparator, parseCsv, writeCsv } from "../../function/page/csv.mjs";

const { tables } = JSON.parse(readFileSync(process.env.CASES, "utf8"));
const cellsOf = (text, separator) => parseCsv(text, separator).map(({ cells }) => cells);
const encode = (text) => new TextEncoder().encode(text).buffer;

test("it reads what Python's csv writes", () => {
  assert.equal(tables.length, 500);
  for (const { text, separator, rows } of tables) assert.deepEqual(cellsOf(text, separator), rows);
});

test("it reads what it writes, but for the apostrophe before what a spreadsheet would run", () => {
  for (const { separator, rows } of tables) {
    const guarded = rows.map((cells) => cells.map((cell) => (cell === "\r\n" ? "'\r\n" : cell)));
    assert.deepEqual(cellsOf(writeCsv(rows, separator), separator), guarded);
  }
});

test("each record has the line that it starts on", () => {
  const records = parseCsv('a,b\r\n\r\n"x\ny",1\r\nc,d', ",");
  assert.deepEqual(records.map(({ line }) => line), [1, 3, 5]);
});

test("a quote that is never closed, or goes on, is told with its line", () => {
  assert.throws(() => parseCsv('a,b\n1,"2\n', ","), { message: "line 2: a quoted field is never closed" });
  assert.throws(() => parseCsv('a,b\n"1"2,3\n', ","), { message: /^line 2: expected the separator after a quoted field/ });
});

test("a first line that names the separator is followed, and is no record", () => {
  const text = "sep=|\r\na|b\r\n1|2\r\n";
  assert.equal(guessSeparator(text), "|");
  assert.deepEqual(parseCsv(text, "|"), [{ line: 2, cells: ["a", "b"] }, { line: 3, cells: ["1", "2"] }]);
});

test("the separator is the one that makes columns", () => {
  const expected = { "a,b\n1,2\n": ",", "a;b\n1,5;2\n": ";", "a\tb\n1,5\t2;3\n": "\t", "a|b\n1|2\n": "|", "a\n1\n": ",", "a;b\r1;2\r": ";" };
  for (const [text, separator] of Object.entries(expected)) assert.equal(guessSeparator(text), separator, text);
});

test("what stands before decimals is found, and said to be a guess where it may separate thousands", () => {
  const mark = (cells, separator = ";") => findMark([{ line: 1, cells }], separator);
  assert.deepEqual(mark(["1,5", "2"]), { mark: ",", isGuess: false });
  assert.deepEqual(mark(["1,234", "23,456"]), { mark: ",", isGuess: true });
  assert.deepEqual(mark(["0,123", "1,234"]), { mark: ",", isGuess: false });
  assert.deepEqual(mark(["1.5", "2,345"]), { mark: ".", isGuess: false });
  assert.deepEqual(mark(["1,234"], ","), { mark: ".", isGuess: false });
});

test("a file is decoded by what it starts with, and by what it can be", () => {
  const utf16 = (text, mark) => Uint8Array.from([...mark, ...[...text].flatMap((one) => [one.charCodeAt(0), 0])]).buffer;
  for (const buffer of [encode("é,b"), encode("\ufeffé,b"), utf16("é,b", [0xff, 0xfe]), utf16("é,b", []).slice(0), Uint8Array.from([0xe9, 0x2c, 0x62]).buffer])
    assert.equal(decode(buffer), "é,b");
});

test("what is no CSV is named", () => {
  const files = { "PK\x03\x04": /spreadsheet/, "\xd0\xcf\x11\xe0": /old Excel/, PAR1: /Parquet/, "\x1f\x8b": /compressed/, "%PDF-1": /PDF/, "<!DOCTYPE html>": /HTML/, '{"a": 1}': /JSON/, "[[1, 2]]": /JSON/, "": /empty, 0 bytes/ };
  for (const [start, message] of Object.entries(files)) {
    const bytes = Uint8Array.from([...start].map((one) => one.charCodeAt(0)));
    assert.throws(() => decode(bytes.buffer), { message }, start);
  }
  assert.throws(() => decode(Uint8Array.from([97, 0, 0, 0, 98, 99]).buffer), { message: /isn't a text/ });
  for (const text of ["[a],[b]\n1,2", "{x},y\n1,2", "P,K\n1,2"]) assert.equal(decode(encode(text)), text);
});
