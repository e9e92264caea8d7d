// What the workers of a proxy count together for a service with a circuit breaker, and the one word
// of state that they are told: cells in shared memory beside the service's slot, touched only where
// a breaker is set. Ten seconds of counts: outcomes, network errors, the ratios that the expression
// asks for, and latencies in a quarter of an octave each. One thread writes the state, all count.
// Times are wall milliseconds modulo 2^32, because threads share no other clock.
import { breakerRatiosMax } from '../lib/breaker-expression.ts';

const latencyBuckets = 64;
const bucketsPerOctave = 4;
const windowSeconds = 10;

const stateCell = 0;
const sinceCell = 1;
const windowCell = 2;
const totalAt = 1;
const errorsAt = 2;
const ratiosAt = 3;
const latenciesAt = ratiosAt + 2 * breakerRatiosMax;
const secondWidth = latenciesAt + latencyBuckets;

/** Cells of one service. */
export const breakerWidth = windowCell + windowSeconds * secondWidth;

/** Requests pass · none does · a share of them does, which grows. */
export type BreakerState = 'closed' | 'open' | 'half-open';

const states: readonly BreakerState[] = ['closed', 'half-open', 'open'];

/** Codes from (included) to (excluded), and the codes that they are a share of. */
export type CodeRatio = readonly [from: number, to: number, ofFrom: number, ofTo: number];

export type BreakerOutcome = {
  /** What the caller got, or would have got. */
  readonly status: number;
  readonly isNetworkError: boolean;
  readonly latencyMs: number;
};

/** Sums over the window. */
export type BreakerWindow = {
  readonly total: number;
  readonly networkErrors: number;
  /** In the order in which the ratios were given: the share's codes, and what it is a share of. */
  readonly ratios: readonly { readonly share: number; readonly of: number }[];
  /** The latency in ms that this share (0 to 1) did not pass; within its quarter octave. */
  readonly latencyAt: (share: number) => number;
};

/** The cells of one service; `offset` is its first. */
export class BreakerCells {
  readonly #cells: Int32Array;
  readonly #offset: number;
  readonly slot: number;

  constructor(cells: Int32Array, slot: number) {
    this.slot = slot;
    this.#cells = cells;
    this.#offset = slot * breakerWidth;
  }

  get state(): BreakerState {
    return states[Atomics.load(this.#cells, this.#offset + stateCell)] ?? 'closed';
  }

  /** Milliseconds since the state changed. */
  stateAgeMs(wallMs: number): number {
    const since = Atomics.load(this.#cells, this.#offset + sinceCell);
    return Math.max(0, ((Math.floor(wallMs) | 0) - since) | 0);
  }

  enter(state: BreakerState, wallMs: number): void {
    Atomics.store(this.#cells, this.#offset + sinceCell, Math.floor(wallMs) | 0);
    Atomics.store(this.#cells, this.#offset + stateCell, states.indexOf(state));
  }

  count(outcome: BreakerOutcome, ratios: readonly CodeRatio[], wallMs: number): void {
    const cells = this.#cells;
    const at = this.#second(wallMs);
    Atomics.add(cells, at + totalAt, 1);
    if (outcome.isNetworkError) Atomics.add(cells, at + errorsAt, 1);
    const { status } = outcome;
    for (let index = 0; index < ratios.length && index < breakerRatiosMax; index += 1) {
      const [from = 0, to = 0, ofFrom = 0, ofTo = 0] = ratios[index] ?? [];
      if (status >= from && status < to) Atomics.add(cells, at + ratiosAt + 2 * index, 1);
      if (status >= ofFrom && status < ofTo) Atomics.add(cells, at + ratiosAt + 2 * index + 1, 1);
    }
    Atomics.add(cells, at + latenciesAt + latencyBucket(outcome.latencyMs), 1);
  }

  /** Requests of the last ten seconds: of most services too few to look any further. */
  total(wallMs: number): number {
    const second = secondOf(wallMs);
    let sum = 0;
    for (let index = 0; index < windowSeconds; index += 1) {
      const at = this.#offset + windowCell + index * secondWidth;
      const age = second - Atomics.load(this.#cells, at);
      if (age >= 0 && age < windowSeconds) sum += Atomics.load(this.#cells, at + totalAt);
    }
    return sum;
  }

  /** The last ten seconds, this one included. */
  window(wallMs: number): BreakerWindow {
    const second = secondOf(wallMs);
    const sums = new Array<number>(secondWidth).fill(0);
    for (let index = 0; index < windowSeconds; index += 1) {
      const at = this.#offset + windowCell + index * secondWidth;
      const age = second - Atomics.load(this.#cells, at);
      if (age < 0 || age >= windowSeconds) continue;
      for (let cell = 1; cell < secondWidth; cell += 1) {
        sums[cell] = (sums[cell] ?? 0) + Atomics.load(this.#cells, at + cell);
      }
    }
    const ratios = Array.from({ length: breakerRatiosMax }, (_, index) => {
      const at = ratiosAt + 2 * index;
      return { share: sums[at] ?? 0, of: sums[at + 1] ?? 0 };
    });
    return {
      total: sums[totalAt] ?? 0,
      networkErrors: sums[errorsAt] ?? 0,
      ratios,
      latencyAt: (share) => latencyAt(sums.slice(latenciesAt), share),
    };
  }

  /** As if nothing had been counted yet. */
  clearWindow(): void {
    const from = this.#offset + windowCell;
    this.#cells.fill(0, from, from + windowSeconds * secondWidth);
  }

  #second(wallMs: number): number {
    const second = secondOf(wallMs);
    const index = ((second % windowSeconds) + windowSeconds) % windowSeconds;
    const at = this.#offset + windowCell + index * secondWidth;
    const stamp = Atomics.load(this.#cells, at);
    if (stamp !== second && Atomics.compareExchange(this.#cells, at, stamp, second) === stamp) {
      // What another worker counts in between is lost: one request of a second.
      this.#cells.fill(0, at + 1, at + secondWidth);
    }
    return at;
  }
}

function latencyAt(latencies: readonly number[], share: number): number {
  const total = latencies.reduce((sum, count) => sum + count, 0);
  let left = total * share;
  for (const [bucket, count] of latencies.entries()) {
    if (count === 0 || left > count) {
      left -= count;
      continue;
    }
    const [from, to] = [bucketStart(bucket), bucketStart(bucket + 1)];
    return from + (to - from) * (left / count);
  }
  return 0;
}

/** The first bucket is everything up to a millisecond; the last one 54 s and more. */
function latencyBucket(ms: number): number {
  if (ms <= 1) return 0;
  return Math.min(latencyBuckets - 1, 1 + Math.floor(Math.log2(ms) * bucketsPerOctave));
}

function bucketStart(bucket: number): number {
  return bucket === 0 ? 0 : 2 ** ((bucket - 1) / bucketsPerOctave);
}

function secondOf(wallMs: number): number {
  return Math.floor(wallMs / 1_000) | 0;
}
