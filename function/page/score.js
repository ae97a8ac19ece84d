"use strict";
// How good the model is on rows whose true label is known.

const N_BINS = 10;
const MOST_CLASSES = 40; // in the confusion matrix

/** Count what was said against what is true; rows are {probabilities, said, truth}, both of these positions of labels. */
function score(rows, n_labels) {
  const matrix = Array.from({ length: n_labels }, () => new Array(n_labels).fill(0));
  const bins = Array.from({ length: N_BINS }, () => ({ n: 0, right: 0, sure: 0 }));
  let right = 0;
  for (const { probabilities, said, truth } of rows) {
    matrix[truth][said]++;
    right += said === truth;
    probabilities.forEach((probability, index) => {
      const bin = bins[Math.min(N_BINS - 1, Math.floor(probability * N_BINS))];
      bin.n++;
      bin.sure += probability;
      bin.right += index === truth;
    });
  }
  const support = matrix.map((row) => row.reduce((sum, n) => sum + n, 0));
  const named = matrix.map((_, index) => matrix.reduce((sum, row) => sum + row[index], 0));
  const classes = matrix.map((row, index) => ({
    index,
    n: support[index],
    precision: named[index] ? row[index] / named[index] : undefined,
    recall: support[index] ? row[index] / support[index] : undefined,
  }));
  const used = classes.filter(({ index, n }) => n || named[index]);
  const gap = bins.reduce((sum, bin) => sum + Math.abs(bin.right - bin.sure), 0) / (rows.length * n_labels);
  return { n: rows.length, right, matrix, classes: used, bins, gap, usual: Math.max(...support) };
}

function showScore(rows, unknown, labels) {
  const result = score(rows, labels.length);
  const share = result.right / result.n;
  const usual = labels[result.classes.find(({ n }) => n === result.usual).index];
  const left = unknown ? `${count(unknown, "row")} with another or no true label left out. ` : "";
  $("quality").replaceChildren(
    make("div", { class: "panels" },
      make("div", { class: "card" },
        make("h3", {}, "Accuracy"),
        make("p", { class: "big", id: "accuracy" }, percent(share)),
        make("p", {}, `${result.right.toLocaleString("en")} of ${count(result.n, "row")} right.`),
        make("p", { class: "hint" }, `${left}Always saying “${usual}” would be right in ${percent(result.usual / result.n)}. Rows that it was trained on flatter it.`),
        makeClasses(result.classes, labels)),
      make("div", { class: "card" },
        make("h3", {}, "Are its probabilities honest?"),
        makeReliability(result.bins),
        make("p", { class: "hint" }, `Where it gives a label 80%, is that the label in 80%? On average ${decimals(100 * result.gap)} points apart; above the dashed line it says too little, below too much.`)),
      make("div", { class: result.classes.length > 5 ? "card all" : "card" },
        make("h3", {}, "Confusion matrix"),
        makeMatrix(result, labels))));
  $("quality").hidden = false;
}

function makeClasses(classes, labels) {
  const head = ["label", "precision", "recall", "rows"].map((text, column) => make("th", { scope: "col", class: column ? "number" : "" }, text));
  const cell = (value) => make("td", { class: "number" }, value === undefined ? "–" : percent(value));
  const rows = classes.map(({ index, n, precision, recall }) =>
    make("tr", {}, make("th", { scope: "row" }, labels[index]), cell(precision), cell(recall), make("td", { class: "number" }, n.toLocaleString("en"))));
  const table = make("table", { id: "classes" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Precision and recall of each label" }, table);
}

function makeMatrix({ matrix, classes }, labels) {
  const shown = classes.slice().sort((a, b) => b.n - a.n).slice(0, MOST_CLASSES).sort((a, b) => a.index - b.index);
  const head = [make("td", {}, "true ↓ said →"), ...shown.map(({ index }) => make("th", { scope: "col" }, labels[index]))];
  const rows = shown.map(({ index, n }) =>
    make("tr", {}, make("th", { scope: "row" }, labels[index]), ...shown.map((other) => {
      const hits = matrix[index][other.index];
      const cell = make("td", { class: other.index === index ? "hit" : "miss" }, hits.toLocaleString("en"));
      cell.style.setProperty("--share", n ? hits / n : 0);
      return cell;
    })));
  const table = make("table", { class: "matrix", id: "matrix" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  const note = shown.length < classes.length ? `The ${MOST_CLASSES} most frequent of ${classes.length} labels.` : "";
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Confusion matrix" }, table, note);
}

function makeReliability(bins) {
  const used = bins.filter(({ n }) => n);
  const most = Math.max(...used.map(({ n }) => n));
  const x = (share) => 40 + 240 * share;
  const y = (share) => 250 - 240 * share;
  const points = used.map(({ n, right, sure }) => ({ n, x: x(sure / n), y: y(right / n), sure: sure / n, right: right / n }));
  const words = points.map(({ n, sure, right }) => `${percent(sure)} given ${count(n, "time")}, true in ${percent(right)}`);
  const text = (content, left, top, anchor) => make("svg:text", { x: left, y: top, "text-anchor": anchor }, content);
  return make("svg:svg", { viewBox: "0 0 300 290", width: 300, role: "img", "aria-label": `Reliability curve: ${words.join("; ")}` },
    make("svg:path", { class: "axis", d: "M40 10V250H280" }),
    make("svg:path", { class: "even", d: "M40 250L280 10" }),
    text("100%", 36, 14, "end"), text("0", 36, 254, "end"), text("100%", 280, 266, "end"), text("0", 40, 266, "middle"),
    text("probability given", 160, 282, "middle"), text("how often it is true", 46, 20, "start"),
    make("svg:path", { class: "curve", d: points.map((point, i) => `${i ? "L" : "M"}${point.x} ${point.y}`).join("") }),
    ...points.map((point, i) => make("svg:circle", { class: "dot", cx: point.x, cy: point.y, r: 2.5 + 4 * Math.sqrt(point.n / most) }, make("svg:title", {}, words[i]))));
}
