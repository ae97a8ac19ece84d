// The service, asked by its public routes alone.

/** @typedef {import("./features.mjs").Feature} Feature */
/** @typedef {import("./features.mjs").Value} Value */
/**
 * @typedef {object} Model what /metadata says
 * @property {{ name: string, version: string, sha256: string, producer: string, training: Record<string, any> | null, certificate: Record<string, any> | null }} model
 * @property {Feature[]} features
 * @property {string[]} labels
 * @property {string} labels_from
 * @property {string} label_rule
 * @property {Value[][]} data_sample
 * @property {{ max_rows: number, max_body_bytes: number, max_answer_bytes: number }} limits
 */
/** @typedef {{ method?: string, body?: string, signal?: AbortSignal }} Options */

// The page stands at / and at /docs of the service, behind whatever prefix a stage or a proxy puts before them.
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

/** What kept a request from a good answer; `detail` is the service's own account of it. */
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
 * Send a request, and note how long it took: the answer as it is.
 * @param {string} path
 * @param {Options} options
 * @returns {Promise<{ response: Response, text: string, milliseconds: number }>}
 */
export async function send(path, { body, method = body === undefined ? "GET" : "POST", signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  // As UTF-8, which is what a shell would send.
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
 * GET a route, or POST a body of JSON to it: its good answer, and the milliseconds that it took.
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
  const message = answer?.detail?.[0]?.msg ?? answer?.message ?? "it isn't the service's own answer";
  return `Status ${response.status}: ${message}`;
}
