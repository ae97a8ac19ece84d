"use strict";
// Which part is shown, the key, and the first requests.

const PARTS = ["try", "file", "about", "api"];
const isDocs = /\/docs$/.test(location.pathname);

function showPart() {
  const asked = location.hash.slice(1);
  const part = PARTS.includes(asked) ? asked : isDocs ? "api" : "try";
  for (const name of PARTS) $(`view-${name}`).hidden = name !== part;
  for (const link of $("parts").children) {
    if (link.hash === `#${part}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (part === "about") checkHealth();
  if (part === "api" && !$("api").childElementCount) showApi();
}

function notify(message) {
  const again = make("button", { type: "button", click: () => location.reload() }, "Reload");
  $("notice").replaceChildren(message, " ", again);
  $("notice").hidden = false;
}

function askForKey(fault) {
  $("key-fault").textContent = fault;
  $("key-form").hidden = false;
  $("key").focus();
}

async function start() {
  try {
    const { answer: model } = await ask("metadata");
    const { name, version, sha256 } = model.model;
    const isNew = service.sha256 !== sha256;
    service.sha256 = sha256;
    $("key-form").hidden = $("notice").hidden = true;
    if (!isNew) return changed(); // a new key alone: what is on the page stays
    document.title = $("name").textContent = name;
    $("summary").textContent = `${count(model.features.length, "feature")} in, the probabilities of ${count(model.labels.length, "label")} out · version ${version} · SHA-256 ${sha256.slice(0, 12)}`;
    showTry(model);
    showFile(model);
    showAbout(model);
    $("parts").hidden = false;
    addEventListener("hashchange", showPart);
    showPart();
  } catch (error) {
    if (error.status !== 401) notify(error.message);
  }
}

service.onKeyWanted = (message) => {
  service.wantsKey = true;
  askForKey(message);
};
service.onOtherModel = () => notify("The service has another model by now.");
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  service.key = $("key").value;
  $("key").value = "";
  start();
});

// Whether a key is wanted stands in the open document at the root: asking for it first spares a request in vain.
ask("./").then(
  ({ answer }) => {
    service.wantsKey = Boolean(answer.api_key);
    document.title = $("name").textContent = answer.model.name;
    if (service.wantsKey) askForKey("");
    else start();
  },
  (error) => notify(error.message),
);
