"use strict";
// The service, asked by its public routes alone; and what every part of the page shares.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const decimals = (value, n = 1) => value.toLocaleString("en", { minimumFractionDigits: n, maximumFractionDigits: n });
const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1%" : `${decimals(100 * share)}%`);
const spread = (feature) =>
  feature.values ? feature.values.join(", ") : feature.min === undefined ? "" : `${feature.min} to ${feature.max}`;

/** Make an element: functions among the attributes listen, false and undefined ones are left out. */
function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function save(name, text) {
  const url = URL.createObjectURL(new Blob([text]));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// The page stands at / and at /docs of the service, behind whatever prefix a stage or a proxy puts before them.
const base = new URL(document.baseURI);
base.search = base.hash = "";
base.pathname = base.pathname.replace(/\/docs$/, "").replace(/\/?$/, "/");
const address = (path) => new URL(path, base).href;

const service = { key: "", wantsKey: false, sha256: "", calls: [], onCall() {}, onKeyWanted() {}, onOtherModel() {} };

class ServiceError extends Error {
  constructor(message, status = 0, detail = undefined) {
    super(message);
    Object.assign(this, { status, detail });
  }
}

/** GET a route, or POST a body of JSON to it: the answer, and the milliseconds that it took. */
async function ask(path, { body, signal } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  // As UTF-8, which is what a shell would send.
  if (service.key) headers["x-api-key"] = String.fromCharCode(...new TextEncoder().encode(service.key));
  const started = performance.now();
  let status = 0;
  try {
    const method = body === undefined ? "GET" : "POST";
    const response = await fetch(address(path), { method, headers, body, signal, cache: "no-store" });
    const text = await response.text();
    status = response.status;
    const answer = parseJson(text);
    if (status === 401) service.onKeyWanted(explain(answer, response));
    if (!response.ok || answer === undefined) throw new ServiceError(explain(answer, response), status, answer?.detail?.[0]);
    const model = response.headers.get("x-model-sha256");
    if (model && service.sha256 && !service.sha256.startsWith(model)) service.onOtherModel();
    return { answer, milliseconds: performance.now() - started };
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ServiceError) throw error;
    throw new ServiceError("The service can't be reached.");
  } finally {
    if (!signal?.aborted) {
      service.calls = [...service.calls.slice(-59), { path, status, milliseconds: performance.now() - started }];
      service.onCall();
    }
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function explain(answer, response) {
  const message = answer?.detail?.[0]?.msg ?? answer?.message ?? "it isn't the service's own answer";
  return `Status ${response.status}: ${message}`;
}
