"use strict";
// One row, by hand.

const PATIENCE = 300; // milliseconds that a newer request waits for the answer to an older one
const MOST_BARS = 12;
const WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"];

const trial = { model: undefined, controls: [], language: "curl", timer: undefined, flight: undefined };

function showTry(model) {
  trial.model = model;
  trial.controls = model.features.map((feature, index) => makeControl(feature, `feature-${index}`));
  $("controls").replaceChildren(...trial.controls.map((control) => control.element));
  $("bars").replaceChildren(...model.labels.slice(0, MOST_BARS).map(makeBar));
  $("languages").replaceChildren(...Object.keys(SNIPPETS).map(makeLanguage));
  setRow(model.data_sample[0]);
}

function setRow(row) {
  trial.controls.forEach((control, index) => control.write(row[index]));
  changed();
}

function makeControl(feature, id) {
  const label = make("label", { for: id }, feature.name);
  const values = feature.type === "bool" ? ["true", "false"] : feature.values;
  if (values) return makeChoice(feature, id, label, values);
  if (feature.type === "string") {
    const field = make("input", { id, type: "text", input: changed, placeholder: feature.missing ? "missing" : "" });
    const element = make("div", { class: "control" }, make("div", { class: "line" }, label, field));
    const read = () => (field.value === "" && feature.missing ? null : field.value);
    return { element, write: (value) => (field.value = value ?? ""), read, isOutside: () => false };
  }
  const isWhole = WHOLE.includes(feature.type);
  const number = make("input", { id, type: "number", step: isWhole ? 1 : "any", required: !feature.missing, placeholder: feature.missing ? "missing" : "" });
  const element = make("div", { class: "control" }, make("div", { class: "line" }, label, number));
  const hasRange = feature.min < feature.max;
  const step = isWhole ? 1 : 10 ** Math.floor(Math.log10((feature.max - feature.min) / 50));
  const slider = make("input", { type: "range", min: feature.min, max: feature.max, step, "aria-label": feature.name });
  if (hasRange) {
    const range = make("div", { class: "range" }, make("span", {}, feature.min), make("span", {}, feature.max));
    element.append(slider, range);
  }
  number.addEventListener("input", () => {
    slider.value = number.value;
    changed();
  });
  slider.addEventListener("input", () => {
    number.value = Number(slider.valueAsNumber.toPrecision(7));
    changed();
  });
  return {
    element,
    write: (value) => (number.value = slider.value = value ?? ""),
    read: () => {
      if (number.value === "" && feature.missing && !number.validity.badInput) return null;
      return number.value === "" || number.validity.stepMismatch ? NaN : number.valueAsNumber;
    },
    isOutside: () => number.valueAsNumber < feature.min || number.valueAsNumber > feature.max,
  };
}

/** One of some texts, or true or false; where a value may be missing, none of them too. */
function makeChoice(feature, id, label, values) {
  const known = values.map((value) => make("option", {}, value));
  const none = feature.missing ? [make("option", { value: "\0" }, "(missing)")] : [];
  const field = make("select", { id, input: changed }, ...known, ...none);
  const element = make("div", { class: "control" }, make("div", { class: "line" }, label, field));
  const write = (value) => {
    const text = value === null ? "\0" : String(value);
    if (value !== null && !values.includes(text)) field.append(make("option", {}, text));
    field.value = text;
  };
  const read = () => (field.value === "\0" ? null : feature.type === "bool" ? field.value === "true" : field.value);
  return { element, write, read, isOutside: () => false };
}

function makeBar() {
  return make("li", {}, make("span"), make("span", { class: "share" }), make("span", { class: "bar" }, make("span")));
}

function makeLanguage(name) {
  const choose = () => {
    trial.language = name;
    for (const button of $("languages").children) button.setAttribute("aria-pressed", button.textContent === name);
    writeSnippet();
  };
  return make("button", { type: "button", click: choose, "aria-pressed": String(name === trial.language) }, name);
}

/** Ask once for as many changes as come before the answer; an answer is shown only if none newer was asked for. */
function changed() {
  const { features } = trial.model;
  const outside = trial.controls.map((control) => control.isOutside());
  trial.controls.forEach((control, index) => control.element.classList.toggle("out", outside[index]));
  const names = features.filter((_, index) => outside[index]).map((one) => `${one.name} (${spread(one)})`);
  const warning = names.length ? `Outside of what the model was trained on: ${names.join("; ")}` : "";
  if ($("outside").textContent !== warning) $("outside").textContent = warning;
  writeSnippet();
  if (trial.timer !== undefined) return;
  const age = trial.flight ? performance.now() - trial.flight.started : PATIENCE;
  trial.timer = setTimeout(send, Math.max(0, PATIENCE - age));
}

const readRow = () => trial.controls.map((control) => control.read());

async function send() {
  clearTimeout(trial.timer);
  trial.timer = undefined;
  trial.flight?.abort();
  const flight = (trial.flight = Object.assign(new AbortController(), { started: performance.now() }));
  try {
    const row = readRow();
    const wrong = row.findIndex((value) => Number.isNaN(value));
    if (wrong >= 0) {
      const feature = trial.model.features[wrong];
      throw new ServiceError(`${feature.name}: expected ${expected(feature)}`);
    }
    // Of one row the batch tells the label too, which needn't be that of the highest probability.
    const { answer, milliseconds } = await ask("predict/batch", { body: JSON.stringify({ data: [row] }), signal: flight.signal });
    if (trial.flight === flight) showAnswer(answer.prediction[0], answer.label[0], milliseconds);
  } catch (error) {
    if (trial.flight === flight) showFault(error);
  } finally {
    if (trial.flight === flight) {
      trial.flight = undefined;
      if (trial.timer !== undefined) send();
    }
  }
}

function showAnswer(probabilities, label, milliseconds) {
  const { labels } = trial.model;
  const best = labels.indexOf(label);
  let shown = [...probabilities.keys()];
  if (shown.length > MOST_BARS) shown = shown.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, MOST_BARS);
  shown.forEach((index, place) => {
    const row = $("bars").children[place];
    const [name, share, bar] = row.children;
    row.classList.toggle("best", index === best);
    name.textContent = labels[index];
    share.textContent = percent(probabilities[index]);
    bar.firstChild.style.width = `${100 * probabilities[index]}%`;
  });
  $("label").textContent = labels[best];
  $("time").textContent = `${decimals(milliseconds, milliseconds < 10 ? 1 : 0)} ms`;
  $("try-fault").textContent = "";
  // Once things have settled: who listens needn't hear each step of a slider.
  clearTimeout(trial.speech);
  trial.speech = setTimeout(() => ($("spoken").textContent = `${labels[best]}, ${percent(probabilities[best])}`), 600);
}

function showFault(error) {
  clearTimeout(trial.speech);
  $("label").textContent = $("time").textContent = $("spoken").textContent = "";
  for (const row of $("bars").children) {
    row.classList.remove("best");
    row.children[1].textContent = "";
    row.children[2].firstChild.style.width = 0;
  }
  $("try-fault").textContent = error.message;
}

const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const SNIPPETS = {
  curl: (url, rows) =>
    `curl -d ${inShell(`{"data": ${rows}}`)} -H 'content-type: application/json'` +
    `${service.wantsKey ? ' -H "x-api-key: $API_KEY"' : ""} ${inShell(url)}`,
  Python: (url, rows) => `import json
${service.wantsKey ? "import os\n" : ""}import urllib.request

rows = ${rows}
headers = {"content-type": "application/json"${service.wantsKey ? ', "x-api-key": os.environ["API_KEY"]' : ""}}
request = urllib.request.Request(${JSON.stringify(url)}, json.dumps({"data": rows}).encode(), headers)
with urllib.request.urlopen(request) as response:
    print(json.load(response)["prediction"])`,
  JavaScript: (url, rows) => `const rows = ${rows};
const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "content-type": "application/json"${service.wantsKey ? ', "x-api-key": process.env.API_KEY' : ""} },
  body: JSON.stringify({ data: rows }),
});
console.log((await response.json()).prediction);`,
};

function writeSnippet() {
  const inPython = { null: "None", true: "True", false: "False" };
  const write = (value) => (trial.language === "Python" && inPython[value]) || JSON.stringify(value);
  const rows = `[[${readRow().map(write).join(", ")}]]`;
  $("snippet").textContent = SNIPPETS[trial.language](address("predict"), rows);
}

async function copySnippet() {
  try {
    await navigator.clipboard.writeText($("snippet").textContent);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("snippet")); // over plain HTTP a page may not write to the clipboard
    $("copy").textContent = "Selected";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
}

$("features").addEventListener("submit", (event) => event.preventDefault());
$("reset").addEventListener("click", () => setRow(trial.model.data_sample[0]));
$("copy").addEventListener("click", copySnippet);
