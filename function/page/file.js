"use strict";
// Many rows, out of a CSV.

const BATCH_ROWS = 2_000; // at most: smaller steps show that it goes on
const PAGE_ROWS = 100;
const MOST_REFUSALS = 100; // each of them is a request
const AGAIN = [429, 502, 503, 504]; // what passes
const ORDERS = { mistakes: "worst mistakes first", doubts: "least sure first", file: "as in the file" };

const table = { model: undefined, name: "", text: "", separator: ",", records: [], header: [], columns: [], truth: -1, rows: [], run: undefined, n_shown: PAGE_ROWS };

function showFile(model) {
  table.model = model;
  const names = model.features.map(({ name }) => name).join(", ");
  const text = `Columns: ${names.length > 300 ? `${names.slice(0, 300)} …` : names}; with the true labels in one more, you see how good the model is. The file is read in your browser and sent in batches.`;
  $("file-hint").textContent = text;
  $("separator").replaceChildren(...Object.entries(SEPARATORS).map(([value, name]) => make("option", { value }, name)));
  forget();
}

function forget() {
  table.run?.abort();
  $("reading").hidden = $("quality").hidden = $("results").hidden = true;
  $("file-fault").textContent = "";
}

async function open(file) {
  forget();
  Object.assign(table, { name: file.name, text: decode(await file.arrayBuffer()) });
  table.separator = $("separator").value = guessSeparator(table.text);
  readFile();
}

function readFile() {
  forget();
  try {
    table.records = parseCsv(table.text, table.separator);
    if (!table.records.length) throw new Error("there are no rows in it");
  } catch (error) {
    $("file-fault").textContent = `${table.name}: ${error.message}`;
    $("reading").hidden = !table.text;
    return;
  }
  $("file-name").textContent = table.name;
  $("has-header").checked = looksLikeHeader();
  findColumns();
}

const plain = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

function looksLikeHeader() {
  const [first, second] = table.records.map(({ cells }) => cells);
  const names = new Set(table.model.features.map(({ name }) => plain(name)));
  if (first.some((cell) => names.has(plain(cell)))) return true;
  const isValue = (cell = "") => /^\s*(true|false)\s*$/i.test(cell) || !Number.isNaN(toNumber(cell, table.separator));
  return second !== undefined && !first.some(isValue) && second.some(isValue);
}

/** Find the features' columns by name, else by their order, and one that holds labels. */
function findColumns() {
  const { features } = table.model;
  const hasHeader = $("has-header").checked;
  const width = table.records[0].cells.length;
  table.header = hasHeader ? table.records[0].cells : Array.from({ length: width }, (_, index) => `column ${index + 1}`);
  const names = table.header.map(plain);
  const data = table.records.slice(hasHeader, 1000 + hasHeader);
  let isSure = true;
  table.columns = features.map(({ name }) => Math.max(table.header.indexOf(name), names.indexOf(plain(name))));
  if (table.columns.includes(-1)) {
    const all = [...names.keys()];
    const label = width > features.length ? [width - 1, ...all].find((index) => holdsLabels(data, index)) : undefined;
    const others = all.filter((index) => index !== label);
    table.columns = features.map((_, index) => others[index] ?? -1);
    isSure = others.length === features.length;
  }
  const free = names.map((_, index) => index).filter((index) => !table.columns.includes(index));
  table.truth = free.find((index) => holdsLabels(data, index)) ?? free.find((index) => holdsPositions(data, index)) ?? -1;
  const options = () => [make("option", { value: -1 }, "–"), ...table.header.map((name, value) => make("option", { value }, name))];
  $("truth").replaceChildren(...options());
  $("truth").value = table.truth;
  $("mapping").replaceChildren(...features.map(({ name }, index) => {
    const select = make("select", { id: `column-${index}`, change: (event) => { table.columns[index] = Number(event.target.value); checkRows(); } }, ...options());
    select.value = table.columns[index];
    return make("div", {}, make("label", { for: `column-${index}` }, name), select);
  }));
  $("columns").open = !isSure;
  $("reading").hidden = false;
  checkRows();
}

const cellsOf = (data, index) => data.map(({ cells }) => (cells[index] ?? "").trim()).filter(Boolean);

function holdsLabels(data, index) {
  const cells = cellsOf(data, index);
  return cells.length > 0 && cells.filter((cell) => table.model.labels.includes(cell)).length > cells.length / 2;
}

function holdsPositions(data, index) {
  const cells = cellsOf(data, index);
  return cells.length > 0 && cells.every((cell) => /^\d+$/.test(cell) && cell < table.model.labels.length);
}

/** Turn records into rows to send, or say what is wrong with them. */
function checkRows() {
  const { features, labels } = table.model;
  const hasHeader = $("has-header").checked;
  const data = table.records.slice(hasHeader ? 1 : 0);
  const labelled = table.truth >= 0 && holdsLabels(data, table.truth);
  const missing = features.filter((_, index) => table.columns[index] < 0).map(({ name }) => name);
  table.rows = data.map(({ line, cells }) => {
    const row = { line, cells, values: [], fault: "", truth: -1 };
    if (table.truth >= 0) {
      const cell = (cells[table.truth] ?? "").trim();
      row.truth = labelled ? labels.indexOf(cell) : cell !== "" && cell in labels ? Number(cell) : -1;
    }
    if (cells.length !== table.header.length) {
      row.fault = `expected ${count(table.header.length, "column")}, got ${cells.length}`;
      return row;
    }
    features.forEach((feature, index) => {
      const cell = cells[table.columns[index]] ?? "";
      const value = toValue(cell, feature, table.separator);
      if (Number.isNaN(value)) row.fault ||= `“${feature.name}”: expected ${expected(feature)}, got ${cell.trim() ? `“${cell.slice(0, 40)}”` : "nothing"}`;
      row.values.push(value);
    });
    return row;
  });
  const n = table.rows.filter(({ fault }) => !fault).length;
  $("file-fault").textContent = missing.length ? `No column for: ${missing.slice(0, 10).join(", ")}${missing.length > 10 ? " …" : ""}. Choose them below.` : "";
  $("run").textContent = `Predict ${count(n, "row")}`;
  $("run").disabled = missing.length > 0 || n === 0;
  $("progress-text").textContent = "";
  $("quality").hidden = $("results").hidden = $("progress").hidden = true;
  if (missing.length) $("bad-rows").replaceChildren();
  else showBadRows();
}

function showBadRows() {
  const bad = table.rows.filter(({ fault }) => fault);
  const items = bad.slice(0, 10).map(({ line, fault }) => make("li", {}, `line ${line}: ${fault}`));
  if (bad.length > 10) items.push(make("li", {}, `and ${(bad.length - 10).toLocaleString("en")} more`));
  $("bad-rows").replaceChildren(...(bad.length ? [`${count(bad.length, "row")} can't be answered:`, make("ul", {}, ...items)] : []));
}

async function run() {
  const rows = table.rows.filter(({ fault }) => !fault);
  for (const row of rows) delete row.probabilities;
  const flight = (table.run = new AbortController());
  const started = performance.now();
  $("quality").hidden = $("results").hidden = $("progress").hidden = true;
  $("file-fault").textContent = "";
  $("run").disabled = true;
  $("cancel").hidden = $("progress").hidden = false;
  $("progress-text").ariaBusy = "true"; // only its end is spoken
  $("progress").max = rows.length;
  const tell = (n) => {
    $("progress").value = n;
    $("progress-text").textContent = `${n.toLocaleString("en")} of ${count(rows.length, "row")}`;
  };
  try {
    tell(0);
    await sendRows(rows, flight.signal, tell);
  } catch (error) {
    if (error.name !== "AbortError") $("file-fault").textContent = error.message;
  }
  if (table.run !== flight) return; // another file has come
  table.run = undefined;
  const done = rows.filter(({ probabilities }) => probabilities);
  const seconds = (performance.now() - started) / 1000;
  $("progress-text").textContent = `${done.length.toLocaleString("en")} of ${count(rows.length, "row")} answered in ${decimals(seconds, seconds < 1 ? 2 : 1)} s`;
  $("run").disabled = false;
  $("progress-text").ariaBusy = "false";
  $("cancel").hidden = $("progress").hidden = true;
  showBadRows();
  if (done.length) showResults(done);
}

/** Send all rows in batches within the limits; a row that the service refuses is noted, and the others go on. */
async function sendRows(rows, signal, tell) {
  const { max_rows, max_body_bytes } = table.model.limits;
  const refused = new Map();
  let most = Math.min(max_rows, BATCH_ROWS);
  let tries = 0;
  for (let position = 0; position < rows.length; ) {
    const batch = [];
    const bodies = [];
    let bytes = '{"data":[]}'.length;
    let end = position;
    for (; end < rows.length && batch.length < most; end++) {
      const row = rows[end];
      const known = [...refused].find(([, { column, value }]) => row.values[column] === value);
      row.fault ||= known?.[1].message ?? "";
      if (row.fault) continue;
      const body = JSON.stringify(row.values);
      const size = new TextEncoder().encode(body).length + 1;
      if (batch.length && bytes + size > max_body_bytes) break;
      bytes += size;
      batch.push(row);
      bodies.push(body);
    }
    if (!batch.length) break;
    try {
      const { answer } = await ask("predict/batch", { body: `{"data":[${bodies.join()}]}`, signal });
      batch.forEach((row, index) => {
        row.probabilities = answer.prediction[index];
        row.said = table.model.labels.indexOf(answer.label[index]);
      });
      position = end;
      tries = 0;
      tell(position);
    } catch (error) {
      const index = error.detail?.loc?.[2];
      if (refused.size >= MOST_REFUSALS) throw new ServiceError(`More than ${MOST_REFUSALS} values are refused: are these the right columns?`);
      if (error.status === 422 && batch[index]) {
        const message = error.detail.msg.replace(/^row \d+(, |: )?/, "").replace(/^has/, "it has");
        batch[index].fault = message;
        const column = error.detail.loc[3];
        if (column !== undefined) refused.set(`${column} ${batch[index].values[column]}`, { column, value: batch[index].values[column], message });
      } else if (error.status === 413 && batch.length > 1) {
        most = Math.ceil(batch.length / 2); // something on the way takes less than the service
      } else if (error.status === 413) {
        batch[0].fault = "it is larger than the service takes";
      } else if (AGAIN.includes(error.status) && tries++ < 3) {
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
        signal.throwIfAborted();
      } else throw error;
    }
  }
}

function showResults(done) {
  const known = done.filter(({ truth }) => truth >= 0);
  const isJudged = known.length > 0;
  if (isJudged) showScore(known, done.length - known.length, table.model.labels);
  $("order").replaceChildren(...Object.entries(ORDERS).filter(([value]) => isJudged || value !== "mistakes").map(([value, name]) => make("option", { value }, name)));
  $("order").value = isJudged ? "mistakes" : "file";
  showTable();
  $("results").hidden = false;
}

function sortedRows() {
  const rows = table.rows.filter(({ probabilities }) => probabilities);
  const sure = ({ probabilities, said }) => probabilities[said];
  // What it gave the true label, the least first; a right answer comes after every wrong one.
  const blame = (row) => (row.truth < 0 ? 3 : row.said === row.truth ? 1 + sure(row) : row.probabilities[row.truth]);
  if ($("order").value === "mistakes") rows.sort((a, b) => blame(a) - blame(b));
  if ($("order").value === "doubts") rows.sort((a, b) => sure(a) - sure(b));
  return rows;
}

function showTable() {
  const { features, labels } = table.model;
  const rows = sortedRows();
  const isJudged = table.truth >= 0;
  const titles = ["line", "said", "sure", ...(isJudged ? ["true", "gave it"] : []), ...features.map(({ name }) => name), "try"];
  const heads = titles.map((title) => make("th", { scope: "col" }, title));
  const body = rows.slice(0, table.n_shown).map((row) => {
    const { line, cells, values, probabilities, said, truth } = row;
    const judged = isJudged ? [cells[table.truth] ?? "", truth < 0 ? "–" : percent(probabilities[truth])] : [];
    const texts = [line, labels[said], percent(probabilities[said]), ...judged, ...values.map((value) => value ?? "")];
    const retry = make("button", { type: "button", "aria-label": `Try line ${line}`, click: () => { setRow(values); location.hash = "try"; } }, "Try");
    const isWrong = truth >= 0 && truth !== said;
    return make("tr", { class: isWrong ? "wrong" : "" },
      ...texts.map((text, column) => make("td", { class: column === 1 ? "said" : typeof text === "number" ? "number" : "" }, text)), make("td", {}, retry));
  });
  $("table").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
  $("shown").textContent = `${Math.min(table.n_shown, rows.length).toLocaleString("en")} of ${count(rows.length, "row")}`;
  $("more").hidden = table.n_shown >= rows.length;
}

/** The file as it came, each line with its answer, or with what kept it from one. */
function download() {
  const { labels } = table.model;
  const head = [...table.header, "predicted", ...labels.map((label) => `p(${label})`), "error"];
  const blank = labels.map(() => "");
  const lines = table.rows.map(({ cells, probabilities, said, fault }) => {
    const filled = table.header.map((_, index) => cells[index] ?? "");
    return [...filled, ...(probabilities ? [labels[said], ...probabilities] : ["", ...blank]), fault];
  });
  save(`${table.name.replace(/\.\w+$/, "")} answered.csv`, `\ufeff${writeCsv([head, ...lines], table.separator)}`);
}

$("file").addEventListener("change", ({ target }) => {
  if (target.files[0]) open(target.files[0]);
  target.value = ""; // so that the same one may come again
});
for (const name of ["dragover", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name !== "drop" || !event.dataTransfer.files[0] || !table.model) return;
    location.hash = "file";
    open(event.dataTransfer.files[0]);
  });
$("separator").addEventListener("change", ({ target }) => {
  table.separator = target.value;
  readFile();
});
$("has-header").addEventListener("change", findColumns);
$("truth").addEventListener("change", ({ target }) => {
  table.truth = Number(target.value);
  checkRows();
});
$("reading").addEventListener("submit", (event) => {
  event.preventDefault();
  table.n_shown = PAGE_ROWS;
  run();
});
$("cancel").addEventListener("click", () => table.run?.abort());
$("order").addEventListener("change", showTable);
$("more").addEventListener("click", () => {
  table.n_shown += PAGE_ROWS;
  showTable();
});
$("download").addEventListener("click", download);
