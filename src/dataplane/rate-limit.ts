// Rate limits per (service, source identity), exact over all workers of the proxy: the generic
// cell rate algorithm (GCRA, ITU-T I.371) on 64-bit cells that the workers share. A bucket is one
// number, the time at which it would be empty again; a time that has passed says nothing, so its
// place may be taken by anybody else. Hence callers need no slots and the table needs no sweep: it
// is bounded by the buckets that are filling right now.
import { contentHash } from '../lib/hash.ts';
import type { Clock } from '../lib/clock.ts';
import type { Source, VirtualHost } from '../route/index.ts';
import type { RateLimitRule } from '../snapshot/index.ts';

const nsPerSecond = 1_000_000_000;
/** Cells of a bucket: its key, and when it is empty. */
const bucketWidth = 2;
/** Places that a key may have; where all are busy, it shares the first (stricter, never looser). */
const probes = 16;
/** What is further ahead than its limit allows: the clock went back, or the limit changed. */
const clockSlackNs = 2n * BigInt(nsPerSecond);
/** How often wall time is read anew; in between the monotonic clock, which is finer, goes on. */
const syncMs = 1_000;

export type Pace = {
  /** Between two requests of the average. */
  readonly intervalNs: bigint;
  /** How far a bucket may be ahead of now. */
  readonly toleranceNs: bigint;
};

export function paceOf({ average, burst }: RateLimitRule): Pace {
  const intervalNs = BigInt(Math.max(1, Math.round(nsPerSecond / average)));
  return { intervalNs, toleranceNs: intervalNs * BigInt(Math.max(0, burst - 1)) };
}

/** Takes one request out of the bucket at `at`; 0: it may pass, else how long until one may. */
export function takeFrom(cells: BigInt64Array, at: number, pace: Pace, nowNs: bigint): bigint {
  const { intervalNs, toleranceNs } = pace;
  // Each of these numbers is an object on the heap: nothing is computed that is not needed, and of
  // a bucket that is empty, as nearly all are, next to nothing is.
  for (;;) {
    const emptyAt = Atomics.load(cells, at);
    let from = nowNs;
    if (emptyAt > nowNs) {
      const latestNs = nowNs + toleranceNs;
      const isAhead = emptyAt > latestNs;
      if (isAhead && emptyAt - latestNs <= intervalNs + clockSlackNs) return emptyAt - latestNs;
      if (!isAhead) from = emptyAt;
    }
    if (Atomics.compareExchange(cells, at, emptyAt, from + intervalNs) === emptyAt) return 0n;
  }
}

/** The bucket of `key`, taken from one that says nothing any more if it has none. */
export function bucketOf(cells: BigInt64Array, key: bigint, nowNs: bigint): number {
  const places = cells.length / bucketWidth;
  const first = Number(BigInt.asUintN(32, key)) % places;
  for (let probe = 0; probe < probes; probe += 1) {
    const at = ((first + probe) % places) * bucketWidth;
    if (Atomics.load(cells, at) === key) return at + 1;
  }
  for (let probe = 0; probe < probes; probe += 1) {
    const at = ((first + probe) % places) * bucketWidth;
    const owner = Atomics.load(cells, at);
    // Another worker has taken it since, for the same caller.
    if (owner === key) return at + 1;
    if (owner !== 0n && Atomics.load(cells, at + 1) > nowNs) continue;
    const seen = Atomics.compareExchange(cells, at, owner, key);
    // Or takes it at this moment.
    if (seen === owner || seen === key) return at + 1;
  }
  return first * bucketWidth + 1;
}

/** Who shares a bucket: an identity, or all that have none. */
function callerOf(source: Source): string {
  return source.kind === 'workload' ? source.principal : '';
}

function keyOf(host: VirtualHost, source: Source): bigint {
  const text = `${host.namespace}/${host.service} ${callerOf(source)}`;
  // The lowest bit: 0 stands for a place that nobody has had.
  return BigInt.asIntN(64, BigInt(`0x${contentHash(text)}`) | 1n);
}

/** Its two halves are as memory has them; its bucket may be another's by now. */
type Caller = {
  readonly key: bigint;
  readonly first: number;
  readonly second: number;
  at: number;
};

type Limit = {
  readonly rule: RateLimitRule;
  readonly pace: Pace;
  readonly callers: WeakMap<Source, Caller>;
};

/** Lives as long as its worker; what it remembers lives as long as the table's objects. */
export class RateLimits {
  readonly #cells: BigInt64Array;
  /** The same cells, each as its two halves. */
  readonly #halves: Int32Array;
  readonly #now = new NowNs();
  readonly #clock: Clock;
  readonly #limits = new WeakMap<VirtualHost, Limit>();
  /** The last one asked for, which is often the next one, too. */
  #host: VirtualHost | undefined;
  #limit: Limit | undefined;
  #wallMinusNowMs = 0;
  #syncedMs = -Infinity;

  constructor(cells: BigInt64Array, clock: Clock) {
    this.#cells = cells;
    this.#halves = new Int32Array(cells.buffer, cells.byteOffset, 2 * cells.length);
    this.#clock = clock;
  }

  /** 0: the request may pass; else the whole seconds after which one may. */
  take(host: VirtualHost, source: Source, rule: RateLimitRule): number {
    const nowNs = this.#nowNs();
    const { pace, callers } = this.#limitOf(host, rule);
    let caller = callers.get(source);
    if (caller === undefined) {
      caller = callerOfKey(keyOf(host, source));
      callers.set(source, caller);
    }
    if (!this.#isThere(caller)) caller.at = bucketOf(this.#cells, caller.key, nowNs);
    const waitNs = takeFrom(this.#cells, caller.at, pace, nowNs);
    return waitNs === 0n ? 0 : Math.ceil(Number(waitNs) / nsPerSecond);
  }

  /** Its place has its key still. Looked at in halves, which takes no object on the heap. */
  #isThere({ at, first, second }: Caller): boolean {
    if (at === 0) return false;
    const half = 2 * (at - 1);
    if (Atomics.load(this.#halves, half) !== first) return false;
    return Atomics.load(this.#halves, half + 1) === second;
  }

  #limitOf(host: VirtualHost, rule: RateLimitRule): Limit {
    if (host === this.#host && this.#limit?.rule === rule) return this.#limit;
    let limit = this.#limits.get(host);
    if (limit?.rule !== rule) {
      limit = { rule, pace: paceOf(rule), callers: limit?.callers ?? new WeakMap() };
      this.#limits.set(host, limit);
    }
    this.#host = host;
    this.#limit = limit;
    return limit;
  }

  /** Wall time, which all workers share, at the precision of the monotonic clock. */
  #nowNs(): bigint {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#syncedMs > syncMs) {
      this.#wallMinusNowMs = this.#clock.wallMs() - nowMs;
      this.#syncedMs = nowMs;
    }
    return this.#now.of(nowMs + this.#wallMinusNowMs);
  }
}

/** Nanoseconds of a time in milliseconds, at a quarter of a microsecond: a double has no more. */
class NowNs {
  readonly #cell = new BigInt64Array(1);
  readonly #halves = new Int32Array(this.#cell.buffer);

  /** One object on the heap; arithmetic on big numbers would make three. */
  of(ms: number): bigint {
    const ns = Math.round(ms * 1_000) * 1_000;
    const high = Math.floor(ns / halfValues);
    this.#halves[lowHalf] = ns - high * halfValues;
    this.#halves[1 - lowHalf] = high;
    return this.#cell[0] ?? 0n;
  }
}

const halfValues = 2 ** 32;
/** Which half of a 64-bit number comes first is the machine's business. */
const lowHalf = new Int32Array(new BigInt64Array([1n]).buffer)[0] === 1 ? 0 : 1;

function callerOfKey(key: bigint): Caller {
  const halves = new Int32Array(new BigInt64Array([key]).buffer);
  return { key, first: halves[0] ?? 0, second: halves[1] ?? 0, at: 0 };
}
