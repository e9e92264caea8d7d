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
  for (;;) {
    const emptyAt = Atomics.load(cells, at);
    const isStray = emptyAt - nowNs > toleranceNs + intervalNs + clockSlackNs;
    const from = emptyAt < nowNs || isStray ? nowNs : emptyAt;
    const waitNs = from - nowNs - toleranceNs;
    if (waitNs > 0n) return waitNs;
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

/** Lives as long as its worker; what it remembers lives as long as the table's objects. */
export class RateLimits {
  readonly #cells: BigInt64Array;
  readonly #clock: Clock;
  readonly #keys = new WeakMap<VirtualHost, WeakMap<Source, bigint>>();
  readonly #paces = new WeakMap<RateLimitRule, Pace>();
  #wallMinusNowMs = 0;
  #syncedMs = -Infinity;

  constructor(cells: BigInt64Array, clock: Clock) {
    this.#cells = cells;
    this.#clock = clock;
  }

  /** 0: the request may pass; else the whole seconds after which one may. */
  take(host: VirtualHost, source: Source, rule: RateLimitRule): number {
    const nowNs = this.#nowNs();
    const at = bucketOf(this.#cells, this.#keyOf(host, source), nowNs);
    const waitNs = takeFrom(this.#cells, at, this.#paceOf(rule), nowNs);
    return Math.ceil(Number(waitNs) / nsPerSecond);
  }

  #paceOf(rule: RateLimitRule): Pace {
    let pace = this.#paces.get(rule);
    if (pace === undefined) {
      pace = paceOf(rule);
      this.#paces.set(rule, pace);
    }
    return pace;
  }

  #keyOf(host: VirtualHost, source: Source): bigint {
    let ofHost = this.#keys.get(host);
    if (ofHost === undefined) {
      ofHost = new WeakMap();
      this.#keys.set(host, ofHost);
    }
    let key = ofHost.get(source);
    if (key === undefined) {
      const text = `${host.namespace}/${host.service} ${callerOf(source)}`;
      // The lowest bit: 0 stands for a place that nobody has had.
      key = BigInt.asIntN(64, BigInt(`0x${contentHash(text)}`) | 1n);
      ofHost.set(source, key);
    }
    return key;
  }

  /** Wall time, which all workers share, at the precision of the monotonic clock. */
  #nowNs(): bigint {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#syncedMs > syncMs) {
      this.#wallMinusNowMs = this.#clock.wallMs() - nowMs;
      this.#syncedMs = nowMs;
    }
    return BigInt(Math.round((nowMs + this.#wallMinusNowMs) * 1_000)) * 1_000n;
  }
}
