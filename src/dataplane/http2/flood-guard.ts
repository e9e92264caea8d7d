// What a peer may do to a session that costs us more than it costs the peer (A9): each kind of
// nuisance has a bucket of its own that fills with time, and for some kinds with useful work. Who
// empties one is told ENHANCE_YOUR_CALM. A peer that behaves never sees one, whatever its load:
// what bounds it there are windows and the number of streams.

import { ownStreamsMax } from './limits.ts';

export type Nuisance =
  /** A stream that the peer opened and reset at once (CVE-2023-44487, rapid reset). */
  | 'reset'
  /** A stream that we had to reset for the peer's fault (CVE-2025-8671, MadeYouReset). */
  | 'provoked'
  | 'settings'
  | 'ping'
  /** DATA without content that ends nothing (CVE-2019-9518). */
  | 'empty-data'
  /** Windows opened by little, again and again (CVE-2019-9511, 2019-9517). */
  | 'window'
  /** PRIORITY and frames of unknown types. */
  | 'noise'
  /** Heads, empty DATA and resets of streams that we have reset: read for nothing. */
  | 'late'
  /** A header list beyond the limits: decoded for nothing. */
  | 'large-head';

/** What a peer that behaves may have sent of a stream, beside DATA, before it sees our reset. */
export const lateFramesPerReset = 4;

type Bucket = { readonly capacity: number; readonly perSecond: number };

/** Node allows 1000 resets and 33/s, HAProxy 100 glitches; well-behaved clients need a tenth. */
const buckets: Readonly<Record<Nuisance, Bucket>> = {
  reset: { capacity: 150, perSecond: 33 },
  provoked: { capacity: 50, perSecond: 10 },
  settings: { capacity: 50, perSecond: 2 },
  // gRPC measures its bandwidth with a ping per burst of data; `earn` pays for those.
  ping: { capacity: 200, perSecond: 20 },
  'empty-data': { capacity: 200, perSecond: 50 },
  // Some per DATA frame that we send are usual; `earn` pays for those.
  window: { capacity: 2_000, perSecond: 500 },
  noise: { capacity: 500, perSecond: 100 },
  // All calls of a connection may be given up at once, each with a head, trailers and an
  // end on their way; `earn` pays for every reset of ours.
  late: { capacity: lateFramesPerReset * ownStreamsMax, perSecond: 100 },
  'large-head': { capacity: 50, perSecond: 5 },
};

type Level = { left: number; sinceMs: number };

export class FloodGuard {
  readonly #nowMs: () => number;
  /** Only of what has occurred. No Map, because every frame asks. */
  readonly #levels: Record<Nuisance, Level | undefined> = {
    reset: undefined,
    provoked: undefined,
    settings: undefined,
    ping: undefined,
    'empty-data': undefined,
    window: undefined,
    noise: undefined,
    late: undefined,
    'large-head': undefined,
  };

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** False: the peer has done too much of it. */
  allows(nuisance: Nuisance): boolean {
    const { capacity, perSecond } = buckets[nuisance];
    const nowMs = this.#nowMs();
    const level = this.#levels[nuisance];
    if (level === undefined) {
      this.#levels[nuisance] = { left: capacity - 1, sinceMs: nowMs };
      return true;
    }
    const gained = ((nowMs - level.sinceMs) / 1000) * perSecond;
    level.left = Math.min(capacity, level.left + gained) - 1;
    level.sinceMs = nowMs;
    return level.left >= 0;
  }

  /** Work was done that makes so many of these frames plausible. */
  earn(nuisance: Nuisance, count: number): void {
    const level = this.#levels[nuisance];
    if (level !== undefined) level.left = Math.min(buckets[nuisance].capacity, level.left + count);
  }
}
