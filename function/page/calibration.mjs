// The calibration curve: confidence against the share of correct rows, with the band of chance.

import { make, makeHint, makeTable } from "./elements.mjs";
import { count, decimals, percent } from "./words.mjs";

/** @typedef {import("./scores.mjs").Bin} Bin */

const [LEFT, TOP, SIZE] = [44, 10, 250];

/**
 * Draw the curve, explain it, and list its figures.
 * @param {{ bins: Bin[], gap: number }} scores
 */
export function makeCalibration({ bins, gap }) {
  const n_outside = bins.filter(({ right, low, high }) => right < low - 1e-9 || right > high + 1e-9).length;
  const verdict = bins.length < 2
    ? "Too few rows, or too few different confidences, for a curve."
    : n_outside
      ? `${n_outside} of ${count(bins.length, "bin")} differ by more than chance explains.`
      : "No bin differs by more than chance explains.";
  const rows = bins.map(({ n, confidence, right, low, high }) => [percent(confidence), percent(right), `${percent(low)} to ${percent(high)}`, n]);
  const figures = makeTable("Bins of the calibration curve", "bins", ["Confidence", "Right", "By chance", "Rows"], rows, false);
  return make("div", { id: "calibration" }, drawCurve(bins),
    makeHint(`${verdict} The average error is ${decimals(100 * gap)} points. Above the band the model is better than its confidence, below it worse.`),
    make("details", {}, make("summary", {}, `The ${count(bins.length, "bin")}`), figures));
}

/** @param {Bin[]} bins */
function drawCurve(bins) {
  const words = bins.map(({ n, confidence, right }) => `${count(n, "row")} with ${percent(confidence)}, right in ${percent(right)}`);
  const text = (/** @type {string} */ content, /** @type {number} */ left, /** @type {number} */ top, /** @type {Record<string, string>} */ how = {}) =>
    make("svg:text", { x: left, y: top, "text-anchor": "middle", ...how }, content);
  // The axes start a tenth below all values, because confidences are often high.
  const least = Math.max(0, Math.floor(10 * Math.min(...bins.flatMap(({ confidence, right, low }) => [confidence, right, low])) - 0.2) / 10);
  const x = (/** @type {number} */ share) => LEFT + (SIZE * (share - least)) / (1 - least);
  const y = (/** @type {number} */ share) => TOP + SIZE - (SIZE * (share - least)) / (1 - least);
  const step = least < 0.5 ? 20 : 10;
  const ticks = [0, 1, 2, 3, 4, 5].map((n) => (100 - n * step) / 100).filter((share) => share >= least).flatMap((share) => [
    make("svg:path", { class: "grid", d: `M${x(share)} ${TOP}V${TOP + SIZE}M${LEFT} ${y(share)}H${LEFT + SIZE}` }),
    text(decimals(100 * share, 0), x(share), TOP + SIZE + 14),
    text(decimals(100 * share, 0), LEFT - 6, y(share) + 4, { "text-anchor": "end" }),
  ]);
  const points = (/** @type {(bin: Bin) => number} */ of, list = bins) => list.map((bin) => `${x(bin.confidence)} ${y(of(bin))}`).join("L");
  const band = `M${points(({ high }) => high)}L${points(({ low }) => low, bins.slice().reverse())}Z`;
  return make("svg:svg", { viewBox: `0 0 ${LEFT + SIZE + 16} ${SIZE + 46}`, role: "img", "aria-label": `Calibration curve: ${words.join("; ")}` },
    ...ticks,
    make("svg:path", { class: "band", d: band }),
    make("svg:path", { class: "even", d: `M${x(least)} ${y(least)}L${x(1)} ${y(1)}` }),
    make("svg:path", { class: "curve", d: `M${points(({ right }) => right)}` }),
    ...bins.map(({ confidence, right }, index) => make("svg:circle", { class: "dot", cx: x(confidence), cy: y(right), r: 4 }, make("svg:title", {}, words[index]))),
    text("Confidence, %", LEFT + SIZE / 2, SIZE + 42),
    text("Right, %", 12, TOP + SIZE / 2, { transform: `rotate(-90 12 ${TOP + SIZE / 2})` }));
}
