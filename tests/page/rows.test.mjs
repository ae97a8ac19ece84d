import assert from "node:assert/strict";
import { test } from "node:test";

import { isUnseen, readNumber, readValue, typical } from "../../function/page/features.mjs";
import { evenOut, findUnseen, readRows, sumUp } from "../../function/page/rows.mjs";
import { brief, list, percent } from "../../function/page/words.mjs";

const records = (...lines) => lines.map((line, index) => ({ line: index + 1, cells: line.split(",") }));

test("a cell is read as what the feature takes", () => {
  const read = (text, type, missing = false, mark = ".") => readValue(text, { name: "x", type, missing }, mark);
  assert.deepEqual(["1.5", " 2 ", "-1e-3", ".5", "5."].map((text) => read(text, "float32")), [1.5, 2, -0.001, 0.5, 5]);
  for (const text of ["", "x", "1,5", "1e999", "0x10", "NaN", "Infinity", "1 2"]) assert.ok(Number.isNaN(read(text, "float32")), text);
  assert.equal(read("1,5", "float32", false, ","), 1.5);
  assert.ok(Number.isNaN(read("1.234,5", "float32", false, ",")));
  assert.ok(Number.isNaN(read("1.5", "int64")));
  assert.deepEqual(["true", "FALSE", "1", "0.0"].map((text) => read(text, "bool")), [true, false, true, false]);
  assert.ok(Number.isNaN(read("yes", "bool")));
  assert.deepEqual(["", "NA", "NaN", "null", "?"].map((text) => read(text, "float32", true)), [null, null, null, null, null]);
  assert.deepEqual([read("NA", "string", true), read("", "string", true), read("", "string")], ["NA", null, ""]);
});

test("a value outside of training is seen, as the model compares it", () => {
  const feature = { name: "x", type: "float32", min: -20.18180274963379, max: 4.3 };
  assert.deepEqual([-20.181803, -20.19, 4.3, 4.4, null].map((value) => isUnseen(value, feature)), [false, true, false, true, false]);
  const sex = { name: "sex", type: "string", values: ["female", "male"] };
  assert.deepEqual(["male", "Male", null].map((value) => isUnseen(value, sex)), [false, true, false]);
  assert.equal(isUnseen("x", { name: "free", type: "string" }), false);
  const rows = readRows(records("Male", "male", "Male", "x"), { width: 1, columns: [0], features: [sex], mark: "." });
  assert.deepEqual(findUnseen(rows, [sex]), [{ feature: sex, n: 3, examples: ["“Male”", "“x”"] }]);
});

test("what keeps a row from an answer has a kind", () => {
  const features = [{ name: "a", type: "float32" }, { name: "b", type: "float32" }];
  const rows = readRows(records("1,2", "1,", "1,NA", "1,x", "1", ","), { width: 2, columns: [0, 1], features, mark: "." });
  assert.deepEqual(rows.map(({ kind }) => kind), ["", "missing values", "missing values", "values that can't be read", "another number of columns", "empty"]);
  assert.equal(sumUp(rows.slice(1).map(({ kind }) => kind)), "2 missing values, 1 values that can't be read, 1 another number of columns, 1 empty");
  assert.equal(sumUp(["missing values", "missing values"]), "missing values");
});

test("a separator at each line's end, and R's names of rows, are no columns of their own", () => {
  const cells = (...lines) => evenOut(records(...lines)).map((record) => record.cells.join());
  assert.deepEqual(cells("a,b", "1,2,", "3,4,"), ["a,b", "1,2", "3,4"]);
  assert.deepEqual(cells("a,b", "1,5,6", "2,7,8"), [",a,b", "1,5,6", "2,7,8"]);
  assert.deepEqual(cells("a,b", "1,2,", "3,4"), ["a,b", "1,2,", "3,4"]);
});

test("what is typical is of the feature's own kind", () => {
  assert.deepEqual(
    [{ type: "float32", median: 0 }, { type: "string", commonest: "x" }, { type: "bool", commonest: false }, { type: "string", median: 1 }, { type: "bool" }].map((feature) => typical({ name: "x", ...feature })),
    [0, "x", false, undefined, undefined]);
});

test("a share is none or all only where it is", () => {
  assert.deepEqual([0, 0.0001, 0.5, 0.97333, 0.9999, 1].map(percent), ["0.0%", "< 0.1%", "50.0%", "97.3%", "> 99.9%", "100.0%"]);
});

test("numbers and lists are as long as they are of use", () => {
  assert.deepEqual([2007, 0.1 + 0.2, -20.18180274963379, null, "x"].map(brief), ["2007", "0.3", "-20.1818", "missing", "x"]);
  assert.equal(list(["a", "b", "c"], 2), "a, b and 1 more");
  assert.equal(readNumber("1e3"), 1000);
});
