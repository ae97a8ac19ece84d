// The facts about the model and its service.

import { $, make, makeCard, makeFacts, makeHint, makeTable, save } from "./elements.mjs";
import { spread, typical } from "./features.mjs";
import { address, ask, service } from "./service.mjs";
import { brief, count, decimals, list, whole } from "./words.mjs";

/**
 * Show the facts of a model.
 * @param {import("./service.mjs").Model} model
 */
export function showAbout(model) {
  const { name, version, sha256, producer, training, certificate } = model.model;
  const { max_rows, max_body_bytes, max_answer_bytes } = model.limits;
  const facts = { name, version, "SHA-256": sha256, "made by": producer, labels: list(model.labels, 40), "labels from": model.labels_from, "label rule": model.label_rule === "MODEL" ? "the model's own label" : "the highest probability" };
  const limits = { "rows per request": whole(max_rows), "bytes per request": whole(max_body_bytes), "bytes per response": whole(max_answer_bytes) };
  const heads = ["Feature", "Type", "In training", "Median or commonest", "May be missing", "Sample"];
  const rows = model.features.map((feature, index) => [
    feature.name, feature.type, spread(feature) || "–", typical(feature) === undefined ? "–" : brief(typical(feature)), feature.missing ? "yes" : "no", brief(model.data_sample[0][index]),
  ]);
  const features = makeCard(count(model.features.length, "feature"), makeTable("Features", "about-features", heads, rows));
  features.classList.add("all");
  $("about").replaceChildren(
    make("div", { class: "panels two" },
      makeCard("Model", makeFacts(facts)),
      makeCard("Training", training ? makeFacts(flatten(training)) : makeHint("The file has no training facts.")),
      makeCard("Parity with its framework", certificate ? makeCertificate(certificate) : makeHint("The file carries no certificate; model.export writes one.")),
      makeCard("Service",
        make("p", { id: "health", role: "status" }),
        make("div", { id: "latency" }),
        make("p", {}, make("button", { type: "button", click: checkHealth }, "Check health")),
        makeFacts(limits),
        make("p", {}, make("a", { href: service.wantsKey ? "#api" : address("docs") }, "Docs"), " · ", makeOpenApiLink())),
      features));
  showCalls();
}

/** @param {Record<string, any>} certificate */
function makeCertificate({ framework, rows, rows_missing, largest_difference, labels_differ, tolerance, date }) {
  const differ = labels_differ ? `${count(labels_differ, "label")} differ${labels_differ === 1 ? "s" : ""}` : "no label differs";
  return make("div", { id: "certificate" },
    make("p", {}, `On ${count(rows, "row")} it answers as ${framework} does: ${differ}.`),
    makeFacts({ "rows with missing values": whole(rows_missing), "largest difference": `${largest_difference.toPrecision(2)} of a probability`, tolerance, date }));
}

/** Make a link to the OpenAPI document; a link can't send the key, so with a key the document is fetched. */
export const makeOpenApiLink = () =>
  make("a", { href: address("openapi.json"), click: async (/** @type {Event} */ event) => {
    if (!service.wantsKey) return;
    event.preventDefault();
    const { answer } = await ask("openapi.json");
    const servers = [{ url: address("").slice(0, -1) }]; // the document's own address is relative
    save("openapi.json", JSON.stringify({ ...answer, servers }, null, 2));
  } }, "OpenAPI document");

/**
 * @param {Record<string, any>} facts
 * @returns {Record<string, unknown>}
 */
const flatten = (facts) =>
  Object.fromEntries(Object.entries(facts).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) ? Object.entries(flatten(value)) : [[name.replaceAll("_", " "), value]]));

/** Check the service's health. */
export async function checkHealth() {
  try {
    const { answer, milliseconds } = await ask("health");
    $("health").textContent = `Health: ${answer.health}, in ${decimals(milliseconds)} ms`;
  } catch (error) {
    $("health").textContent = /** @type {Error} */ (error).message;
  }
}

function showCalls() {
  if (!$("latency") || !service.calls.length) return;
  const times = service.calls.map(({ milliseconds }) => milliseconds);
  const slowest = Math.max(...times);
  const median = times.slice().sort((a, b) => a - b)[times.length >> 1];
  const n_failed = service.calls.filter(({ status }) => status < 200 || status > 299).length;
  const words = `Last ${count(times.length, "request")}: median ${decimals(median)} ms, slowest ${decimals(slowest)} ms, ${n_failed} failed`;
  const y = (/** @type {number} */ value) => 62 - (52 * value) / slowest;
  const bars = service.calls.map(({ path, status, milliseconds }, index) => {
    const height = Math.max(2, 62 - y(milliseconds));
    const shape = { class: status >= 200 && status <= 299 ? "ok" : "failed", x: 5 * index, y: 62 - height, width: 4, height };
    return make("svg:rect", shape, make("svg:title", {}, `${path}: ${status || "no answer"}, ${decimals(milliseconds)} ms`));
  });
  const line = (/** @type {number} */ value) => [
    make("svg:path", { class: "grid", d: `M0 ${y(value)}H300` }),
    make("svg:text", { x: 304, y: y(value) + 4 }, `${decimals(value)} ms`),
  ];
  const lines = slowest > 1.4 * median ? [...line(slowest), ...line(median)] : line(slowest);
  $("latency").replaceChildren(
    make("svg:svg", { viewBox: "0 0 360 66", role: "img", "aria-label": words }, ...lines, ...bars),
    makeHint(words));
}

service.onCall = showCalls;
