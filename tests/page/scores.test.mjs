import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { calibrate, rocAuc, score } from "../../function/page/scores.mjs";

const { answers } = JSON.parse(readFileSync(process.env.CASES, "utf8"));
const near = (found, expected) => assert.ok(Math.abs(found - expected) < 1e-9, `${found} is not ${expected}`);
const row = (sure, isRight) => ({ probabilities: [sure, 1 - sure], predicted: 0, actual: isRight ? 0 : 1 });

test("its measures are scikit-learn's", () => {
  assert.equal(answers.length, 8);
  for (const { n_labels, rows, ...expected } of answers) {
    const found = score(rows, n_labels);
    assert.deepEqual(found.matrix, expected.matrix);
    near(found.right / found.n, expected.matrix.reduce((sum, line, index) => sum + line[index], 0) / rows.length);
    for (const name of ["precision", "recall", "f1", "auc"]) near(found.macro[name], expected[name]);
    near(found.logLoss, expected.log_loss);
  }
});

test("a certain mistake costs as much as scikit-learn lets it", () => {
  near(score([row(1, false)], 2).logLoss, -Math.log(2 ** -52));
});

test("the area under the curve is unknown where all rows have the label, or none", () => {
  assert.equal(rocAuc([row(0.9, true), row(0.2, true)], 0), undefined);
  assert.equal(score([row(0.9, true), row(0.2, true)], 2).macro.auc, undefined);
});

test("labels that are neither actual nor predicted don't count", () => {
  const found = score([row(0.9, true), row(0.8, true)], 30);
  assert.deepEqual(found.classes.map(({ index }) => index), [0]);
  assert.equal(found.macro.f1, 1);
});

test("bins have as many rows each as ties allow, all rows together", () => {
  for (const { rows } of answers) {
    const bins = calibrate(rows);
    assert.equal(bins.reduce((sum, { n }) => sum + n, 0), rows.length);
    assert.ok(bins.length >= 2 && bins.length <= 10);
    assert.ok(Math.min(...bins.map(({ n }) => n)) >= 10);
    for (let index = 1; index < bins.length; index++) assert.ok(bins[index].confidence > bins[index - 1].confidence);
  }
});

test("equal confidences are one bin", () => {
  const bins = calibrate(Array.from({ length: 200 }, (_, index) => row(0.75, index % 4 > 0)));
  assert.equal(bins.length, 1);
  near(bins[0].confidence, 0.75);
  near(bins[0].right, 0.75);
});

test("the band is where chance alone puts 95 of 100 bins", () => {
  const [{ low, high }] = calibrate(Array.from({ length: 100 }, () => row(0.8, true)));
  near(low, 0.8 - 1.96 * Math.sqrt(0.16 / 100));
  near(high, 0.8 + 1.96 * Math.sqrt(0.16 / 100));
});
