// Many rows, sent in batches within the service's limits.

import { blame } from "./rows.mjs";
import { ask, ServiceError } from "./service.mjs";

/** @typedef {import("./rows.mjs").FileRow} FileRow */

const BATCH_ROWS = 2_000; // at most; smaller steps show progress
const MOST_REFUSALS = 100; // each of them is a request
const AGAIN = [429, 502, 503, 504]; // temporary errors
const TRIES = 3;
const encoder = new TextEncoder();

/**
 * Send all rows; if the service refuses one, note that and send the others.
 * @param {FileRow[]} rows
 * @param {import("./service.mjs").Model} model
 * @param {AbortSignal} signal
 * @param {(n: number) => void} tell the number of rows that are done
 */
export async function sendRows(rows, model, signal, tell) {
  const { max_rows, max_body_bytes } = model.limits;
  const refusals = new Refusals();
  let most = Math.min(max_rows, BATCH_ROWS);
  let tries = 0;
  for (let position = 0; position < rows.length; ) {
    const { batch, body, end } = takeBatch(rows, position, { most, max_body_bytes }, refusals);
    if (!batch.length) break;
    try {
      const { answer } = await ask("predict/batch", { body, signal });
      batch.forEach((row, index) => {
        row.probabilities = answer.prediction[index];
        row.predicted = model.labels.indexOf(answer.label[index]);
      });
      position = end;
      tries = 0;
      tell(position);
    } catch (error) {
      const { status = 0, detail } = /** @type {ServiceError} */ (error);
      const row = batch[Number(detail?.loc[2])];
      if (status === 422 && detail && row) refusals.note(row, detail);
      else if (status === 413 && batch.length > 1) most = Math.ceil(batch.length / 2); // a proxy takes less than the service
      else if (status === 413) blame(batch[0], "refused by the service", "it is too large for the service");
      else if (AGAIN.includes(status) && tries++ < TRIES) {
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
        signal.throwIfAborted();
      } else throw error;
    }
  }
}

/**
 * Take rows from a position on, as many as one request may have, without those that are known to be refused.
 * @param {FileRow[]} rows
 * @param {number} position
 * @param {{ most: number, max_body_bytes: number }} limits
 * @param {Refusals} refusals
 */
function takeBatch(rows, position, { most, max_body_bytes }, refusals) {
  /** @type {FileRow[]} */
  const batch = [];
  /** @type {string[]} */
  const bodies = [];
  let bytes = '{"data":[]}'.length;
  let end = position;
  for (; end < rows.length && batch.length < most; end++) {
    const row = rows[end];
    refusals.apply(row);
    if (row.fault) continue;
    const body = JSON.stringify(row.values);
    const size = encoder.encode(body).length + 1;
    if (batch.length && bytes + size > max_body_bytes) break;
    bytes += size;
    batch.push(row);
    bodies.push(body);
  }
  return { batch, body: `{"data":[${bodies.join()}]}`, end };
}

/** The values that the service has refused: a value of a column is refused in every row. */
class Refusals {
  /** @type {Map<string, { column: number, value: unknown, message: string }>} */
  known = new Map();

  /** @param {FileRow} row */
  apply(row) {
    for (const { column, value, message } of this.known.values())
      if (!row.fault && row.values[column] === value) blame(row, "refused by the service", message);
  }

  /**
   * @param {FileRow} row
   * @param {{ loc: (string | number)[], msg: string }} detail
   */
  note(row, { loc, msg }) {
    if (this.known.size >= MOST_REFUSALS) throw new ServiceError(`More than ${MOST_REFUSALS} values are refused: are these the right columns?`);
    const message = msg.replace(/^row \d+(, |: )?/, "").replace(/^has/, "it has");
    blame(row, "refused by the service", message);
    const column = loc[3];
    if (typeof column === "number") this.known.set(`${column} ${row.values[column]}`, { column, value: row.values[column], message });
  }
}
