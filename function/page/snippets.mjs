// Requests as code to copy.

import { address, service } from "./service.mjs";

/** @param {string} text */
export const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @type {Record<string, (url: string, rows: string) => string>} */
const SNIPPETS = {
  curl: (url, rows) =>
    `curl -d ${inShell(`{"data": ${rows}}`)} -H 'content-type: application/json'` +
    `${service.wantsKey ? ' -H "x-api-key: $API_KEY"' : ""} ${inShell(url)}`,
  Python: (url, rows) =>
    [
      "import json",
      ...(service.wantsKey ? ["import os"] : []),
      "import urllib.request",
      "",
      `rows = ${rows}`,
      `headers = {"content-type": "application/json"${service.wantsKey ? ', "x-api-key": os.environ["API_KEY"]' : ""}}`,
      `request = urllib.request.Request(${JSON.stringify(url)}, json.dumps({"data": rows}).encode(), headers)`,
      "with urllib.request.urlopen(request) as response:",
      '    print(json.load(response)["prediction"])',
    ].join("\n"),
  JavaScript: (url, rows) =>
    [
      `const rows = ${rows};`,
      `const response = await fetch(${JSON.stringify(url)}, {`,
      '  method: "POST",',
      `  headers: { "content-type": "application/json"${service.wantsKey ? ', "x-api-key": process.env.API_KEY' : ""} },`,
      "  body: JSON.stringify({ data: rows }),",
      "});",
      "console.log((await response.json()).prediction);",
    ].join("\n"),
};

export const LANGUAGES = Object.keys(SNIPPETS);

/**
 * Write the request of a row.
 * @param {string} language
 * @param {import("./features.mjs").Value[]} row
 */
export function writeSnippet(language, row) {
  /** @type {Record<string, string>} */
  const inPython = { null: "None", true: "True", false: "False" };
  const write = (/** @type {unknown} */ value) => (language === "Python" && inPython[String(value)]) || JSON.stringify(value);
  return SNIPPETS[language](address("predict"), `[[${row.map(write).join(", ")}]]`);
}

/**
 * Write a request to any route for a shell.
 * @param {string} method
 * @param {string} path
 * @param {string} [body]
 */
export function writeCurl(method, path, body) {
  const data = method === "GET" ? "" : ` -d ${inShell(body ?? "{}")} -H 'content-type: application/json'`;
  return `curl${data}${service.wantsKey ? ' -H "x-api-key: $API_KEY"' : ""} ${inShell(address(path))}`;
}
