// Finds and makes elements of the page, and downloads files.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {string | number | boolean | undefined | EventListener | ((event: any) => unknown)} Attribute */

/**
 * Find an element by its id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Find a form's field, or a button.
 * @param {string} id
 * @returns {HTMLInputElement}
 */
export const field = (id) => /** @type {HTMLInputElement} */ ($(id));

/**
 * Make an element; functions among the attributes become listeners, false and undefined ones are skipped.
 * @param {string} tag "svg:" before the name for SVG
 * @param {Record<string, Attribute>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * Make a table in its own region that scrolls.
 * @param {string} name
 * @param {string} id
 * @param {string[]} heads
 * @param {(string | number)[][]} rows
 * @param {boolean} [hasNames] the first cell of a row names it
 */
export function makeTable(name, id, heads, rows, hasNames = true) {
  const kind = (/** @type {number} */ column) => (rows.some((row) => typeof row[column] === "number") ? "number" : "");
  const cell = (/** @type {string | number} */ text, /** @type {number} */ column) =>
    column === 0 && hasNames
      ? make("th", { scope: "row" }, String(text))
      : make("td", { class: kind(column) }, typeof text === "number" ? text.toLocaleString("en") : text);
  const head = heads.map((text, column) => make("th", { scope: "col", class: kind(column) }, text));
  const table = make("table", { id }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));
  return makeRegion(name, table);
}

/**
 * Make a region that scrolls, by keyboard too.
 * @param {string} name
 * @param {(Node | string)[]} children
 */
export const makeRegion = (name, ...children) =>
  make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name }, ...children);

/** @param {string} text */
export const makeHint = (text) => make("p", { class: "hint" }, text);

/**
 * Make a card with a title.
 * @param {string} title
 * @param {(Node | string)[]} children
 */
export const makeCard = (title, ...children) => make("div", { class: "card" }, make("h3", {}, title), ...children);

/**
 * Make a list of names and values.
 * @param {Record<string, unknown>} facts
 */
export function makeFacts(facts) {
  const pairs = Object.entries(facts).map(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]);
  return make("dl", {}, ...pairs.flat());
}

/**
 * Download a file.
 * @param {string} name
 * @param {string} text
 */
export function save(name, text) {
  const url = URL.createObjectURL(new Blob([text]));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
