"use strict";
// What the model and its service say of themselves.

function showAbout(model) {
  const { name, version, sha256, producer, training } = model.model;
  const facts = { name, version, "SHA-256": sha256, "made by": producer };
  const limits = { "rows a request": model.limits.max_rows, "bytes a request": model.limits.max_body_bytes, "bytes an answer": model.limits.max_answer_bytes };
  for (const limit in limits) limits[limit] = limits[limit].toLocaleString("en");
  const heads = ["feature", "type", "in training", "sample"].map((text) => make("th", { scope: "col" }, text));
  const rows = model.features.map((feature, index) =>
    make("tr", {}, ...[feature.name, feature.type, spread(feature) || "–", model.data_sample[0][index] ?? "missing"].map((text) => make("td", {}, String(text)))));
  $("about").replaceChildren(
    make("div", { class: "panels" },
      makeCard("Model", makeFacts({ ...facts, labels: model.labels.join(", "), "label rule": model.label_rule === "MODEL" ? "what the model says" : "the highest probability" })),
      makeCard("Training", training ? makeFacts(flatten(training)) : make("p", { class: "hint" }, "The file says nothing of it.")),
      makeCard("Service",
        make("p", { id: "health", role: "status" }),
        make("div", { id: "latency" }),
        make("p", {}, make("button", { type: "button", click: checkHealth }, "Check its health")),
        makeFacts(limits),
        make("p", {}, make("a", { href: service.wantsKey ? "#api" : address("docs") }, "Docs"), " · ", makeOpenApiLink())),
      make("div", { class: "card all" }, make("h3", {}, count(model.features.length, "feature")),
        make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Features" },
          make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows))))));
  showCalls();
}

const makeCard = (title, ...children) => make("div", { class: "card" }, make("h3", {}, title), ...children);

function makeFacts(facts) {
  const pairs = Object.entries(facts).map(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]);
  return make("dl", {}, ...pairs.flat());
}

// A link can't bring the key: then it is fetched.
const makeOpenApiLink = () =>
  make("a", { href: address("openapi.json"), click: async (event) => {
    if (!service.wantsKey) return;
    event.preventDefault();
    const { answer } = await ask("openapi.json");
    const servers = [{ url: address("").slice(0, -1) }]; // the document's own is relative to where it was
    save("openapi.json", JSON.stringify({ ...answer, servers }, null, 2));
  } }, "OpenAPI document");

const flatten = (facts) =>
  Object.fromEntries(Object.entries(facts).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) ? Object.entries(flatten(value)) : [[name.replaceAll("_", " "), value]]));

async function checkHealth() {
  try {
    const { answer, milliseconds } = await ask("health");
    $("health").textContent = `Health: ${answer.health}, in ${decimals(milliseconds)} ms`;
  } catch (error) {
    $("health").textContent = error.message;
  }
}

function showCalls() {
  if (!$("latency") || !service.calls.length) return;
  const times = service.calls.map(({ milliseconds }) => milliseconds);
  const slowest = Math.max(...times);
  const median = times.slice().sort((a, b) => a - b)[times.length >> 1];
  const n_failed = service.calls.filter(({ status }) => status !== 200).length;
  const words = `Last ${count(times.length, "request")}: median ${decimals(median)} ms, slowest ${decimals(slowest)} ms, ${n_failed} failed`;
  const bars = service.calls.map(({ path, status, milliseconds }, index) => {
    const height = Math.max(2, (60 * milliseconds) / slowest);
    const shape = { class: status === 200 ? "ok" : "failed", x: 5 * index, y: 60 - height, width: 4, height };
    return make("svg:rect", shape, make("svg:title", {}, `${path}: ${status || "no answer"}, ${decimals(milliseconds)} ms`));
  });
  $("latency").replaceChildren(
    make("svg:svg", { viewBox: "0 0 300 60", width: 300, role: "img", "aria-label": words }, ...bars),
    make("p", { class: "hint" }, words));
}

service.onCall = showCalls;

/** The routes, out of the OpenAPI document. */
async function showApi() {
  try {
    const { answer } = await ask("openapi.json");
    const intro = make("p", {}, `${answer.info.title} ${answer.info.version}. ${answer.info.description ?? ""} `, makeOpenApiLink());
    const routes = Object.entries(answer.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => makeRoute(answer, path, method.toUpperCase(), operation)));
    $("api").replaceChildren(intro, ...routes);
  } catch (error) {
    $("api").replaceChildren(make("p", { class: "fault", role: "alert" }, error.message));
  }
}

function makeRoute(document_, path, method, operation) {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const parameters = operation.parameters?.map(({ name, in: place, description }) => [name, description ?? `in the ${place}`]);
  const answers = Object.entries(operation.responses).map(([status, { description, content }]) => {
    const kinds = Object.entries(content ?? {}).map(([type, { schema: kind }]) => `${type}${kind?.$ref ? ` ${kind.$ref.split("/").pop()}` : ""}`);
    return [status, `${description}${kinds.length ? ` (${kinds.join(", ")})` : ""}`];
  });
  const used = new Set();
  const names = [...JSON.stringify(operation).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name);
  for (const name of names) {
    if (used.has(name)) continue;
    used.add(name);
    const inner = JSON.stringify(document_.components.schemas[name]);
    names.push(...[...inner.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, found]) => found));
  }
  const shapes = Object.fromEntries([...used].map((name) => [name, document_.components.schemas[name]]));
  const code = (text, label) => make("pre", { tabindex: 0, role: "region", "aria-label": `${label} of ${method} ${path}` }, make("code", {}, text));
  const details = (title, value) => make("details", {}, make("summary", {}, title), code(JSON.stringify(value, null, 2), title));
  return make("details", { class: "card route" },
    make("summary", {}, make("span", { class: "method" }, method), make("span", { class: "code-text" }, path), make("span", { class: "hint" }, operation.description ?? "")),
    make("div", {},
      make("h3", {}, "With curl"), code(curlOf(path, method, schema), "curl"),
      ...(parameters ? [make("h3", {}, "Parameters"), makeFacts(Object.fromEntries(parameters))] : []),
      ...(schema ? [details("Body", schema)] : []),
      make("h3", {}, "Answers"), makeFacts(Object.fromEntries(answers)),
      details("Schemas", shapes)));
}

function curlOf(path, method, schema) {
  const { name, version } = trial.model?.model ?? {};
  const known = path.replace("{model}", name).replace("{version}", version);
  const body = method === "GET" ? "" : ` -d ${inShell(JSON.stringify(schema?.example ?? {}))} -H 'content-type: application/json'`;
  return `curl${body}${service.wantsKey ? ' -H "x-api-key: $API_KEY"' : ""} ${inShell(address(known.slice(1)))}`;
}
