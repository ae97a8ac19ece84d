// Chooses the part that is shown, asks for the key, and sends the first requests.

import { checkHealth, showAbout } from "./about.mjs";
import { showApi } from "./api.mjs";
import { $, field, make } from "./elements.mjs";
import { showFile } from "./file.mjs";
import { ask, service } from "./service.mjs";
import { changed, showTry } from "./try.mjs";
import { count } from "./words.mjs";

const PARTS = ["try", "file", "about", "api"];
const isDocs = /\/docs$/.test(location.pathname);

/** @type {import("./service.mjs").Model | undefined} */
let model;

function showPart() {
  const asked = location.hash.slice(1);
  const part = PARTS.includes(asked) ? asked : isDocs ? "api" : "try";
  for (const name of PARTS) $(`view-${name}`).hidden = name !== part;
  for (const link of $("parts").children) {
    if (/** @type {HTMLAnchorElement} */ (link).hash === `#${part}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (part === "about") checkHealth();
  if (part === "api" && model && !$("api").childElementCount) showApi(model);
}

/** @param {string} message */
function notify(message) {
  const again = make("button", { type: "button", click: () => location.reload() }, "Reload");
  $("notice").replaceChildren(message, " ", again);
  $("notice").hidden = false;
}

/** @param {string} fault */
function askForKey(fault) {
  $("view-try").hidden = model === undefined;
  $("key-fault").textContent = fault;
  $("key-form").hidden = false;
  $("key").focus();
}

async function start() {
  try {
    const { answer } = await ask("metadata");
    const { name, version, sha256 } = answer.model;
    const isNew = service.sha256 !== sha256;
    service.sha256 = sha256;
    $("key-form").hidden = $("notice").hidden = true;
    if (!isNew) return changed(); // only a new key: the page stays as it is
    model = answer;
    document.title = $("name").textContent = name;
    $("summary").textContent = `${count(answer.features.length, "feature")} in, the probabilities of ${count(answer.labels.length, "label")} out · version ${version} · SHA-256 ${sha256.slice(0, 12)}`;
    showTry(answer);
    showFile(answer);
    showAbout(answer);
    $("view-try").inert = $("parts").hidden = false;
    addEventListener("hashchange", showPart);
    showPart();
  } catch (error) {
    $("view-try").hidden = model === undefined;
    if (/** @type {{ status?: number }} */ (error).status !== 401) notify(/** @type {Error} */ (error).message);
  }
}

service.onKeyWanted = (message) => {
  service.wantsKey = true;
  askForKey(message);
};
service.onOtherModel = () => notify("The service has another model now.");
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  service.key = field("key").value;
  field("key").value = "";
  start();
});

// The open document at the root says whether a key is needed, which saves a request that would fail.
ask("./").then(
  ({ answer }) => {
    service.wantsKey = Boolean(answer.api_key);
    document.title = $("name").textContent = answer.model.name;
    if (service.wantsKey) askForKey("");
    else start();
  },
  (error) => {
    $("view-try").hidden = true;
    notify(error.message);
  },
);
