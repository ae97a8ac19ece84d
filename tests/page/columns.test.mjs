import assert from "node:assert/strict";
import { test } from "node:test";

import { findActual, looksLikeHeader, matchColumns } from "../../function/page/columns.mjs";
import { readLabels } from "../../function/page/labels.mjs";

const IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"].map((name) => ({ name, type: "float32" }));
const SPECIES = ["setosa", "versicolor", "virginica"];
const columnsOf = (header, features = IRIS) => matchColumns(header, features).columns;
const records = (...lines) => lines.map((line, index) => ({ line: index + 1, cells: line.split(",") }));
const actual = (header, lines, labels, options = {}) => {
  const { index, question } = findActual({ names: header.split(","), header: header.split(","), data: records(...lines), free: [...header.split(",").keys()], labels, ...options });
  return question || (index < 0 ? "none" : header.split(",")[index]);
};

test("columns are matched as they are called, then without case and signs, then without units", () => {
  assert.deepEqual(columnsOf(["x", "petal width (cm)", "sepal width (cm)", "petal length (cm)", "sepal length (cm)"]), [4, 2, 3, 1]);
  assert.deepEqual(columnsOf(["SepalLengthCm", "SepalWidthCm", "PetalLengthCm", "PetalWidthCm"]), [0, 1, 2, 3]);
  assert.deepEqual(columnsOf(["sepal_length", "sepal_width", "petal_length", "petal_width"]), [0, 1, 2, 3]);
  assert.deepEqual(columnsOf(["Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width"]), [0, 1, 2, 3]);
  assert.deepEqual(columnsOf(["sepal length [mm]"], [{ name: "sepal_length", type: "float32" }]), [0]);
});

test("one that is missing leaves the others as they are", () => {
  assert.deepEqual(columnsOf(["id", "sepal length", "sepal width", "petal length"]), [1, 2, 3, -1]);
  assert.deepEqual(columnsOf(["sepal length", "sepal width", "petal length", "target"]), [0, 1, 2, -1]);
});

test("two that may be the same feature are no match, nor one that may be two features", () => {
  const { columns, unclear } = matchColumns(["age", "age", "Age "], [{ name: "age", type: "float32" }]);
  assert.deepEqual([columns, unclear], [[-1], [[0, 1]]]);
  const warm = [{ name: "temp (C)", type: "float32" }, { name: "temp (F)", type: "float32" }];
  assert.deepEqual(matchColumns(["temp"], warm), { columns: [-1, -1], unclear: [[0], [0]] });
  assert.deepEqual(columnsOf(["temp (F)", "temp (C)"], warm), [1, 0]);
});

test("a name of signs matches itself alone", () => {
  assert.deepEqual(columnsOf(["%", "#"], [{ name: "#", type: "float32" }]), [1]);
  assert.deepEqual(columnsOf(["%"], [{ name: "#", type: "float32" }]), [-1]);
});

test("a first line is a header by its names, its kind, or what stands below it", () => {
  const isHeader = (...lines) => looksLikeHeader(records(...lines), IRIS, SPECIES, ".");
  assert.equal(isHeader("id,Sepal Width", "1,2"), true);
  assert.equal(isHeader("a,b,c,d", "1,2,3,4"), true);
  assert.equal(isHeader("0,1,2,3", "5.1,3.5,1.4,0.2"), true); // pandas' own
  assert.equal(isHeader(",0,1,2,3", "0,5.1,3.5,1.4,0.2"), true);
  assert.equal(isHeader("5.1,3.5,1.4,0.2,setosa", "4.9,3,1.4,0.2,setosa"), false);
  assert.equal(isHeader("setosa,5.1", "setosa,4.9"), false);
  assert.equal(isHeader("text,kind", "a b,setosa", "c d,virginica"), true);
  assert.equal(isHeader("a b,setosa", "c d,virginica"), false);
  assert.equal(isHeader("1,2,3,4"), false);
});

test("labels that are texts are found wherever they stand", () => {
  assert.equal(actual("id,kind", ["1,setosa", "2,virginica"], SPECIES), "kind");
  assert.equal(actual("id,kind", ["1,Setosa", "2,VIRGINICA "], SPECIES), "kind");
  assert.equal(actual("species,predicted", ["setosa,setosa", "virginica,setosa"], SPECIES), "Which column holds the actual labels? “species” and “predicted” both fit.");
});

test("what the file calls its target is it, whatever it holds", () => {
  assert.equal(actual("alone,survived", ["0,1", "1,0"], ["0", "1"], { target: "survived" }), "survived");
  assert.equal(actual("alone,Survived", ["0,yes", "1,no"], ["0", "1"], { target: "survived" }), "Survived");
});

test("numbers that happen to fit are asked about", () => {
  assert.equal(actual("alone,survived", ["0,1", "1,0"], ["0", "1"]), "Which column holds the actual labels? “alone” and “survived” fit by their numbers.");
  assert.equal(actual("alone", ["0", "1"], ["0", "1"], { target: "survived" }), "Does “alone” hold the actual labels? Its numbers fit, but the model was trained on labels called “survived”.");
  assert.equal(actual("age,survived", ["30,1", "41,0"], ["0", "1"]), "survived");
  assert.equal(actual("age,target", ["30,1", "41,0"], SPECIES, { target: "species" }), "target");
});

test("a column that numbers the rows holds no labels", () => {
  assert.equal(actual("x,y1", ["0,5", "1,6", "2,7"], SPECIES), "none");
  assert.equal(actual("id,y1", ["0,5", "0,6", "2,7"], SPECIES), "none");
  assert.equal(actual(",kind", ["0,0", "1,2", "2,2"], SPECIES), "kind");
});

test("texts that are like labels are found, and no label", () => {
  assert.equal(actual("id,sort", ["1,Iris-setosa", "2,Iris-virginica"], SPECIES), "sort");
  const { known, alike } = readLabels(["Iris-setosa", "Iris-virginica", "x"], SPECIES);
  assert.deepEqual([[...known], [...alike]], [[], [["Iris-setosa", 0], ["Iris-virginica", 2]]]);
});

test("values are labels by their text, their number, or as class ids", () => {
  const known = (cells, labels) => Object.fromEntries(readLabels(cells, labels).known);
  assert.deepEqual(known(["setosa", " Setosa ", "SETOSA"], SPECIES), { setosa: 0, Setosa: 0, SETOSA: 0 });
  assert.deepEqual(known(["0", "2.0"], SPECIES), { 0: 0, "2.0": 2 });
  assert.deepEqual(known(["0", "3"], SPECIES), {});
  assert.deepEqual(known(["1.0", "0"], ["0", "1"]), { "1.0": 1, 0: 0 });
  assert.deepEqual(known(["1", "2", "3"], ["1", "2", "3"]), { 1: 0, 2: 1, 3: 2 });
  assert.deepEqual(known(["TRUE", "False"], ["False", "True"]), { TRUE: 1, False: 0 });
  assert.deepEqual(known(["<=50K.", ">50K"], ["<=50K", ">50K"]), { ">50K": 1 });
  assert.deepEqual(known(["A", "a"], ["a", "A"]), { A: 1, a: 0 });
});
