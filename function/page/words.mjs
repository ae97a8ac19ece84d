// Numbers and names in words.

/**
 * Write a number with so many digits after the point.
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
 * Write a share: none but 0 is 0, none but 1 is 100%.
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
 * Join the first names, and say how many there are besides.
 * @param {string[]} names
 * @param {number} [most]
 */
export const list = (names, most = 8) =>
  names.slice(0, most).join(", ") + (names.length > most ? ` and ${whole(names.length - most)} more` : "");

/**
 * Return a name without its case, spaces and signs.
 * @param {string} text
 */
export const plain = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
