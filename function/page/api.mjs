// The routes, from the OpenAPI document: requests, responses, and a form to send one.

import { makeOpenApiLink } from "./about.mjs";
import { $, make, makeFacts } from "./elements.mjs";
import { ask, parseJson, send, service } from "./service.mjs";
import { writeCurl } from "./snippets.mjs";
import { decimals } from "./words.mjs";

/** @typedef {{ path: string, method: string, operation: any }} Route */

const MOST_SHOWN = 100_000; // characters of a response

/** @type {[string, RegExp][]} */
const GROUPS = [
  ["Predict", /^\/predict/],
  ["Model", /^\/(metadata|label)/],
  ["Open Inference Protocol", /^\/v2/],
  ["Operations", /^\/(health|metrics|docs|openapi\.json)?$/],
];
const OTHERS = "More"; // routes that were added

/**
 * Show the routes.
 * @param {import("./service.mjs").Model} model
 */
export async function showApi(model) {
  try {
    const { answer } = await ask("openapi.json");
    /** @type {Route[]} */
    const routes = Object.entries(answer.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
    if (await hasMetrics()) routes.push({ path: "/metrics", method: "GET", operation: METRICS });
    const groupOf = (/** @type {Route} */ { path }) => GROUPS.find(([, pattern]) => pattern.test(path))?.[0] ?? OTHERS;
    const groups = [...GROUPS.map(([name]) => name), OTHERS].flatMap((name) => {
      const found = routes.filter((route) => groupOf(route) === name);
      return found.length ? [make("h3", { class: "group" }, name), ...found.map((route) => makeRoute(answer, route, model))] : [];
    });
    const intro = make("p", {}, `${answer.info.title} ${answer.info.version}. ${answer.info.description ?? ""} `, makeOpenApiLink());
    $("api").replaceChildren(intro, ...groups);
  } catch (error) {
    $("api").replaceChildren(make("p", { class: "fault", role: "alert" }, /** @type {Error} */ (error).message));
  }
}

// It isn't in the document, because that is the same at every entry point.
const METRICS = { description: "Return the counters in Prometheus' text format.", responses: { 200: { description: "Successful Response", content: { "text/plain": {} } } } };

async function hasMetrics() {
  const { response } = await send("metrics", { method: "HEAD" });
  return response.ok;
}

/**
 * @param {any} openapi
 * @param {Route} route
 * @param {import("./service.mjs").Model} model
 */
function makeRoute(openapi, { path, method, operation }, { model: { name, version } }) {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const parameters = operation.parameters?.map((/** @type {any} */ { name: parameter, in: place, description }) => [parameter, description ?? `in the ${place}`]);
  const here = path.replace("{model}", encodeURIComponent(name)).replace("{version}", encodeURIComponent(version)).slice(1);
  const body = schema && JSON.stringify(schema.example ?? {});
  const code = (/** @type {string} */ text, /** @type {string} */ label) => make("pre", { tabindex: 0, role: "region", "aria-label": `${label} of ${method} ${path}` }, make("code", {}, text));
  const details = (/** @type {string} */ title, /** @type {unknown} */ value) => make("details", {}, make("summary", {}, title), code(JSON.stringify(value, null, 2), title));
  const shapes = findShapes(openapi, operation);
  return make("details", { class: "card route" },
    make("summary", {}, make("span", { class: "method" }, method), make("span", { class: "code-text" }, path), make("span", { class: "hint" }, operation.description ?? "")),
    make("div", {},
      make("h4", {}, "With curl"), code(writeCurl(method, here, body), "curl"),
      ...makeSender(here, method, body, `${method} ${path}`),
      ...(parameters ? [make("h4", {}, "Parameters"), makeFacts(Object.fromEntries(parameters))] : []),
      ...(schema ? [details("Body", schema)] : []),
      make("h4", {}, "Responses"), makeFacts(describeAnswers(operation)),
      ...(Object.keys(shapes).length ? [details("Schemas", shapes)] : [])));
}

/** @param {any} operation */
function describeAnswers({ responses }) {
  return Object.fromEntries(Object.entries(responses).map(([status, { description, content }]) => {
    const kinds = Object.entries(content ?? {}).map(([type, { schema }]) => `${type}${schema?.$ref ? ` ${schema.$ref.split("/").pop()}` : ""}`);
    return [status, `${description}${kinds.length ? ` (${kinds.join(", ")})` : ""}`];
  }));
}

/**
 * Find the schemas that an operation uses, and those that these use.
 * @param {any} openapi
 * @param {any} operation
 */
function findShapes(openapi, operation) {
  /** @type {Record<string, unknown>} */
  const shapes = {};
  const visit = (/** @type {unknown} */ part) => {
    for (const [, name] of JSON.stringify(part).matchAll(/#\/components\/schemas\/(\w+)/g)) {
      if (name in shapes) continue;
      shapes[name] = openapi.components.schemas[name];
      visit(shapes[name]);
    }
  };
  visit(operation);
  return shapes;
}

/**
 * Make the form that sends a route's request and shows the unchanged response.
 * @param {string} path
 * @param {string} method
 * @param {string | undefined} body
 * @param {string} name
 * @returns {Node[]}
 */
function makeSender(path, method, body, name) {
  const input = body === undefined ? undefined : make("textarea", { "aria-label": `Body of ${name}`, rows: 3, spellcheck: "false" });
  if (input) input.value = body;
  const output = make("div", { class: "sent", role: "status" });
  const click = async () => {
    output.replaceChildren("Sending …");
    try {
      const sent = await send(path, { method, body: input?.value });
      if (sent.response.status === 401) service.onKeyWanted("Status 401");
      output.replaceChildren(...makeAnswer(sent, name));
    } catch (error) {
      output.replaceChildren(make("p", { class: "fault" }, /** @type {Error} */ (error).message));
    }
  };
  return [make("h4", {}, "Send it"), ...(input ? [input] : []), make("button", { type: "button", class: "send", click }, `Send ${method}`), output];
}

/**
 * @param {{ response: Response, text: string, milliseconds: number }} sent
 * @param {string} name
 */
function makeAnswer({ response, text, milliseconds }, name) {
  const json = parseJson(text);
  const pretty = json === undefined || text.length > MOST_SHOWN ? text : JSON.stringify(json, null, 1);
  const shown = pretty.length > MOST_SHOWN ? `${pretty.slice(0, MOST_SHOWN)} …` : pretty;
  const headers = [...response.headers].map(([header, value]) => `${header}: ${value}`).join("\n");
  const block = (/** @type {string} */ content, /** @type {string} */ label) => make("pre", { tabindex: 0, role: "region", "aria-label": `${label} of ${name}` }, make("code", {}, content));
  return [
    make("p", { class: response.ok ? "status" : "status failed" }, `${response.status} ${response.statusText}`, make("span", { class: "hint" }, ` ${decimals(milliseconds)} ms, ${new TextEncoder().encode(text).length.toLocaleString("en")} bytes`)),
    block(headers, "Headers"), block(shown, "Response")];
}
