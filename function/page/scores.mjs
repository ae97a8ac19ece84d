// Measures a model on rows whose actual label is known, with scikit-learn's metrics: https://scikit-learn.org/stable/modules/model_evaluation.html

const EPSILON = 2 ** -52; // where scikit-learn's log_loss clips probabilities
const BIN_ROWS = 20; // at least; with fewer, chance dominates
const MOST_BINS = 10;
const Z = 1.96; // for 95 %

/** @typedef {{ probabilities: number[], predicted: number, actual: number }} Judged both labels are indexes */
/** @typedef {{ n: number, confidence: number, right: number, low: number, high: number }} Bin shares; the band of chance is from low to high */
/** @typedef {{ index: number, n: number, n_predicted: number, precision?: number, recall?: number, f1: number, auc?: number }} Class */
/**
 * @typedef {object} Scores
 * @property {number} n
 * @property {number} right
 * @property {number[][]} matrix actual → predicted → rows
 * @property {Class[]} classes those that occur as actual or predicted label
 * @property {{ precision: number, recall: number, f1: number, auc?: number }} macro the means over the classes
 * @property {number} logLoss
 * @property {Bin[]} bins
 * @property {number} gap the mean difference of confidence and share of right rows over the bins
 * @property {Class} usual the most frequent actual label
 */

/**
 * Score answers against the actual labels.
 * @param {Judged[]} rows
 * @param {number} n_labels
 * @returns {Scores}
 */
export function score(rows, n_labels) {
  const matrix = Array.from({ length: n_labels }, () => new Array(n_labels).fill(0));
  let loss = 0;
  for (const { probabilities, predicted, actual } of rows) {
    matrix[actual][predicted]++;
    loss -= Math.log(Math.min(1 - EPSILON, Math.max(EPSILON, probabilities[actual])));
  }
  const all = [...matrix.keys()].map((index) => scoreClass(matrix, index));
  const classes = all.filter(({ n, n_predicted }) => n || n_predicted);
  for (const one of classes) one.auc = rocAuc(rows, one.index);
  const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const areas = classes.flatMap(({ auc }) => (auc === undefined ? [] : [auc]));
  const bins = calibrate(rows);
  return {
    n: rows.length,
    right: matrix.reduce((sum, row, index) => sum + row[index], 0),
    matrix,
    classes,
    macro: {
      precision: mean(classes.map(({ precision }) => precision ?? 0)),
      recall: mean(classes.map(({ recall }) => recall ?? 0)),
      f1: mean(classes.map(({ f1 }) => f1)),
      auc: areas.length ? mean(areas) : undefined,
    },
    logLoss: loss / rows.length,
    bins,
    gap: bins.reduce((sum, bin) => sum + bin.n * Math.abs(bin.right - bin.confidence), 0) / rows.length,
    usual: all.reduce((most, one) => (one.n > most.n ? one : most)),
  };
}

/**
 * @param {number[][]} matrix
 * @param {number} index
 * @returns {Class}
 */
function scoreClass(matrix, index) {
  const hits = matrix[index][index];
  const n = matrix[index].reduce((sum, one) => sum + one, 0);
  const n_predicted = matrix.reduce((sum, row) => sum + row[index], 0);
  return { index, n, n_predicted, precision: n_predicted ? hits / n_predicted : undefined, recall: n ? hits / n : undefined, f1: n + n_predicted ? (2 * hits) / (n + n_predicted) : 0 };
}

/**
 * Return the area under the ROC curve of one label against all others; undefined where all rows or none have it.
 * @param {Judged[]} rows
 * @param {number} index
 */
export function rocAuc(rows, index) {
  const pick = (/** @type {boolean} */ isIt) =>
    Float64Array.from(rows.filter(({ actual }) => (actual === index) === isIt), ({ probabilities }) => probabilities[index]).sort();
  const [positive, negative] = [pick(true), pick(false)];
  let below = 0, equal = 0, sum = 0;
  for (const value of positive) {
    while (below < negative.length && negative[below] < value) below++;
    equal = Math.max(equal, below);
    while (equal < negative.length && negative[equal] === value) equal++;
    sum += (below + equal) / 2; // a tie counts half
  }
  return positive.length && negative.length ? sum / (positive.length * negative.length) : undefined;
}

/**
 * Compare the confidence of predictions with the share of right ones, in bins of equal size as far as equal confidences
 * allow. If the confidence were right, 95 of 100 such bins would be in the band.
 * @param {Judged[]} rows
 * @returns {Bin[]}
 */
export function calibrate(rows) {
  const sorted = rows.map(({ probabilities, predicted, actual }) => ({ sure: probabilities[predicted], isRight: predicted === actual }));
  sorted.sort((a, b) => a.sure - b.sure);
  const n_bins = Math.max(1, Math.min(MOST_BINS, Math.floor(rows.length / BIN_ROWS)));
  /** @type {Bin[]} */
  const bins = [];
  let start = 0;
  for (let bin = 1; bin <= n_bins; bin++) {
    let end = Math.round((rows.length * bin) / n_bins);
    while (end > start && end < sorted.length && sorted[end].sure === sorted[end - 1].sure) end++;
    if (end <= start || (bin < n_bins && sorted.length - end < BIN_ROWS / 2)) continue;
    bins.push(makeBin(sorted.slice(start, end)));
    start = end;
  }
  if (start < sorted.length) bins.push(makeBin(sorted.slice(start)));
  return bins;
}

/** @param {{ sure: number, isRight: boolean }[]} rows */
function makeBin(rows) {
  const n = rows.length;
  const confidence = rows.reduce((sum, { sure }) => sum + sure, 0) / n;
  const error = (Z * Math.sqrt(rows.reduce((sum, { sure }) => sum + Math.max(0, sure * (1 - sure)), 0))) / n;
  const right = rows.filter(({ isRight }) => isRight).length / n;
  return { n, confidence, right, low: Math.max(0, confidence - error), high: Math.min(1, confidence + error) };
}
