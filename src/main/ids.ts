// Ids for requests that bring none. Cut out of a stock of random hex that is made for about two
// hundred requests at a time: asking the system's generator for each id would cost more than
// parsing the request. Every id is made of fresh random bits (128 of a request id or trace, 64 of
// a parent id), so none says anything about another.
import { randomFillSync } from 'node:crypto';
import type { IdMakers } from '../proxy/worker.ts';

const stockBytes = 8 * 1024;

/** Makers of ids with a stock of their own: one per worker. */
export function idMakers(): IdMakers {
  const bytes = Buffer.allocUnsafeSlow(stockBytes);
  let stock = '';
  let used = 0;
  const hexDigits = (count: number): string => {
    if (used + count > stock.length) {
      stock = randomFillSync(bytes).toString('hex');
      used = 0;
    }
    used += count;
    return stock.slice(used - count, used);
  };
  return {
    requestId: () => hexDigits(32),
    // W3C Trace Context §3.2: version, trace id, parent id, not sampled. An id of zeros is invalid
    // there, and 64 zero bits do not come up.
    traceparent: () => `00-${hexDigits(32)}-${hexDigits(16)}-00`,
  };
}
