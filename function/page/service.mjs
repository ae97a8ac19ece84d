// Calls the service, only by its public routes.

/** @typedef {import("./features.mjs").Feature} Feature */
/** @typedef {import("./features.mjs").Value} Value */
/**
 * @typedef {object} Model the answer of /metadata
 * @property {{ name: string, version: string, sha256: string, producer: string, training: Record<string, any> | null, certificate: Record<string, any> | null }} model
 * @property {Feature[]} features
 * @property {string[]} labels
 * @property {string} labels_from
 * @property {string} label_rule
 * @property {Value[][]} data_sample
 * @property {{ max_rows: number, max_body_bytes: number, max_answer_bytes: number }} limits
 */
/** @typedef {{ method?: string, body?: string, signal?: AbortSignal }} Options */

// The page is at / and at /docs of the service, behind any prefix of a stage or a proxy.
const base = new URL(document.baseURI);
base.search = base.hash = "";
base.pathname = base.pathname.replace(/\/docs$/, "").replace(/\/?$/, "/");

/** @param {string} path */
export const address = (path) => new URL(path, base).href;

export const service = {
  key: "",
  wantsKey: false,
  sha256: "",
  /** @type {{ path: string, status: number, milliseconds: number }[]} */
  calls: [],
  onCall() {},
  onKeyWanted(/** @type {string} */ _message) {},
  onOtherModel() {},
};

/** A failed request; `detail` is the service's own message. */
export class ServiceError extends Error {
  /**
   * @param {string} message
   * @param {number} [status]
   * @param {{ loc: (string | number)[], msg: string }} [detail]
   */
  constructor(message, status = 0, detail = undefined) {
    super(message);
    this.status = status;
    this.detail = detail;
  }
}

/**
 * Send a request, note how long it took, and return the unchanged response.
 * @param {string} path
 * @param {Options} options
 * @returns {Promise<{ response: Response, text: string, milliseconds: number }>}
 */
export async function send(path, { body, method = body === undefined ? "GET" : "POST", signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  // As UTF-8, as a shell would send it.
  if (service.key) headers["x-api-key"] = String.fromCharCode(...new TextEncoder().encode(service.key));
  const started = performance.now();
  let status = 0;
  try {
    const response = await fetch(address(path), { method, headers, body, signal, cache: "no-store" });
    const text = await response.text();
    status = response.status;
    return { response, text, milliseconds: performance.now() - started };
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServiceError("The service can't be reached.");
  } finally {
    if (!signal?.aborted) {
      service.calls = [...service.calls.slice(-59), { path, status, milliseconds: performance.now() - started }];
      service.onCall();
    }
  }
}

/**
 * GET a route, or POST a JSON body to it; return the answer if it is good, and the milliseconds that it took.
 * @param {string} path
 * @param {Options} options
 * @returns {Promise<{ answer: any, milliseconds: number }>}
 */
export async function ask(path, options = {}) {
  const { response, text, milliseconds } = await send(path, options);
  const answer = parseJson(text);
  if (response.status === 401) service.onKeyWanted(explain(answer, response));
  if (!response.ok || answer === undefined) throw new ServiceError(explain(answer, response), response.status, answer?.detail?.[0]);
  const model = response.headers.get("x-model-sha256");
  if (model && service.sha256 && !service.sha256.startsWith(model)) service.onOtherModel();
  return { answer, milliseconds };
}

/** @param {string} text */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * @param {any} answer
 * @param {Response} response
 */
function explain(answer, response) {
  const message = answer?.detail?.[0]?.msg ?? answer?.message ?? "the answer isn't the service's own";
  return `Status ${response.status}: ${message}`;
}
