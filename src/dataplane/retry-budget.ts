// The retry budget of a service, shared by all workers of the proxy: Finagle's TpsBudget on atomic
// cells. Over ten seconds retries may make up the given percent of the requests, plus ten a second
// so that quiet services can retry at all. Each request that got a good answer deposits `percent`
// units, each retry takes 100; Finagle counts failed ones as well, which lets retries multiply over
// the tiers of a call chain (docs/performance.md). Seconds are wall clock seconds, because workers
// share no other clock; a jump of the clock empties the window and harms nothing else.
// Cells: [0..9] second that the ring place counts for, [10..19] its balance, [20..21] belong to
// slow-mark.ts, the rest is spare.

const windowSeconds = 10;
const unitsPerRetry = 100;
const reserveUnits = 10 * windowSeconds * unitsPerRetry;

export type BudgetPlace = {
  readonly cells: Int32Array;
  /** Index of the service's first cell. */
  readonly offset: number;
};

/** Counts a good answer of the service. */
export function depositRequest(place: BudgetPlace, percent: number, wallMs: number): void {
  Atomics.add(place.cells, balanceCell(place, wallMs), Math.round(percent));
}

/** Takes one retry out of the budget; false when it is used up. */
export function withdrawRetry(place: BudgetPlace, wallMs: number): boolean {
  const cell = balanceCell(place, wallMs);
  if (balance(place, wallMs) + reserveUnits < unitsPerRetry) return false;
  Atomics.sub(place.cells, cell, unitsPerRetry);
  return true;
}

function balance(place: BudgetPlace, wallMs: number): number {
  const second = secondOf(wallMs);
  let sum = 0;
  for (let index = 0; index < windowSeconds; index += 1) {
    const stamp = Atomics.load(place.cells, place.offset + index);
    // Wrapping difference; stamps of the future (the clock went back) count as stale too.
    const age = (second - stamp) | 0;
    if (age < 0 || age >= windowSeconds) continue;
    sum += Atomics.load(place.cells, place.offset + windowSeconds + index);
  }
  return sum;
}

/** The balance cell of this second, emptied when its place last counted for another one. */
function balanceCell(place: BudgetPlace, wallMs: number): number {
  const second = secondOf(wallMs);
  const index = ((second % windowSeconds) + windowSeconds) % windowSeconds;
  const stampCell = place.offset + index;
  const cell = stampCell + windowSeconds;
  const stamp = Atomics.load(place.cells, stampCell);
  // One worker wins the exchange and empties; a deposit that another makes in between is lost,
  // which costs a fifth of a retry.
  const isFirst = stamp !== second
    && Atomics.compareExchange(place.cells, stampCell, stamp, second) === stamp;
  if (isFirst) Atomics.store(place.cells, cell, 0);
  return cell;
}

/** Unix seconds as Int32; a zeroed cell is 1970 and always stale. */
function secondOf(wallMs: number): number {
  return Math.floor(wallMs / 1000) | 0;
}
