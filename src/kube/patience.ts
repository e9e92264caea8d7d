// How long a reflector rests between two rounds: how a round ended goes in, milliseconds come out.
// Exponential back-off with full jitter, 0.2–30 s; what the server asks for by Retry-After is
// honoured; a round that was healthy for a while starts the count anew. It never says "stop".
import { backoffMs } from '../lib/backoff.ts';
import type { Random } from '../lib/clock.ts';
import { assertNever } from '../lib/assert.ts';
import type { KubeFailure } from './client.ts';

/** How one round of listing and watching ended. `livedMs`: how long its stream was open. */
export type RoundEnd =
  | { readonly kind: 'closed'; readonly livedMs: number }
  /** The position is too old, or worth nothing: list again. */
  | { readonly kind: 'gone'; readonly livedMs: number; readonly why: string }
  /** The server does not know the kind (yet). */
  | { readonly kind: 'absent' }
  /** The server does not stream lists: list in pages, at once. */
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'failed'; readonly livedMs: number; readonly failure: KubeFailure };

const limits = { baseMs: 200, maxMs: 30_000 };
/** Streams that live this long are healthy; the API server's own ones live for minutes. */
const healthyMs = 10_000;
/** A kind that appears is picked up within seconds; after a while a little less often. */
const absentMs = { first: 2_000, last: 5_000, growth: 1.02 };
/** A server that asks for hours is not obeyed: the mesh would be blind. */
const retryAfterMaxMs = 120_000;

export class Patience {
  readonly #random: Random;
  #failures = 0;
  /** Rounds in a row whose position was worth nothing. */
  #lostPositions = 0;
  #absentMs = absentMs.first;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Unhealthy rounds in a row. */
  get failures(): number {
    return this.#failures;
  }

  restMs(end: RoundEnd): number {
    if (end.kind === 'absent') return this.#absentRestMs();
    this.#absentMs = absentMs.first;
    switch (end.kind) {
      case 'unsupported':
        return 0;
      case 'closed':
        // The end that `timeoutSeconds` asked for is no failure.
        return isEarly(end.livedMs) ? this.#grownMs(end.livedMs) : this.#forgive();
      case 'gone':
        return this.#goneRestMs(end.livedMs);
      case 'failed':
        return Math.max(this.#grownMs(end.livedMs), this.#askedMs(end.failure));
      default:
        return assertNever(end);
    }
  }

  #forgive(): number {
    this.#failures = 0;
    this.#lostPositions = 0;
    return 0;
  }

  /** The server answers, so the outage is over: list at once, but not again and again. */
  #goneRestMs(livedMs: number): number {
    const lost = isEarly(livedMs) ? this.#lostPositions : 0;
    this.#failures = 0;
    this.#lostPositions = lost + 1;
    return lost === 0 ? 0 : backoffMs(lost - 1, limits, this.#random);
  }

  #grownMs(livedMs: number): number {
    if (!isEarly(livedMs)) this.#forgive();
    this.#failures += 1;
    return backoffMs(this.#failures - 1, limits, this.#random);
  }

  /** Spread a little, or all who were sent away together come back together. */
  #askedMs(failure: KubeFailure): number {
    const askedMs = Math.min(failure.retryAfterMs ?? 0, retryAfterMaxMs);
    return askedMs * (1 + 0.1 * this.#random());
  }

  #absentRestMs(): number {
    this.#failures = 0;
    const restMs = this.#absentMs * (0.9 + 0.2 * this.#random());
    this.#absentMs = Math.min(absentMs.last, this.#absentMs * absentMs.growth);
    return restMs;
  }
}

/** A stream that ended before it had proved itself. */
export function isEarly(livedMs: number): boolean {
  return livedMs < healthyMs;
}
