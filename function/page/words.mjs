// Writes numbers and names.

/**
 * Write a number with `n` decimals.
 * @param {number} value
 * @param {number} [n]
 */
export const decimals = (value, n = 1) => value.toLocaleString("en", { minimumFractionDigits: n, maximumFractionDigits: n });

/** @param {number} n */
export const whole = (n) => n.toLocaleString("en");

/**
 * Write a count with its noun.
 * @param {number} n
 * @param {string} noun
 */
export const count = (n, noun) => `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;

/**
 * Write a share; only 0 is shown as 0, and only 1 as 100%.
 * @param {number} share
 */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1%";
  return share < 1 && share >= 0.9995 ? "> 99.9%" : `${decimals(100 * share)}%`;
}

/**
 * Write a measured number, without the noise of its last digits.
 * @param {unknown} value
 */
export const brief = (value) =>
  typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : String(value ?? "missing");

/**
 * Join the first names, and count the rest.
 * @param {string[]} names
 * @param {number} [most]
 */
export const list = (names, most = 8) =>
  names.slice(0, most).join(", ") + (names.length > most ? ` and ${whole(names.length - most)} more` : "");

/**
 * Return a name in lower case, without spaces and signs.
 * @param {string} text
 */
export const plain = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
