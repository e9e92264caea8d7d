// So many writes a second and no more: a token bucket that whoever writes waits at. It bounds the
// load that ten thousand objects put on an API server, whatever else goes wrong.
import type { Runtime } from '../lib/clock.ts';

export type PaceLimits = {
  readonly perSecond: number;
  /** So many at once after a rest. */
  readonly burst: number;
};

export class Pace {
  readonly #runtime: Runtime;
  readonly #restMs: number;
  readonly #burstMs: number;
  /** When the next token is there; in the past while tokens are left. */
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(runtime: Runtime, { perSecond, burst }: PaceLimits) {
    this.#runtime = runtime;
    this.#restMs = 1_000 / perSecond;
    this.#burstMs = (burst - 1) * this.#restMs;
  }

  /** Resolves when it is this caller's turn; turns come in the order of the calls. */
  wait(): Promise<void> {
    const nowMs = this.#runtime.clock.nowMs();
    const turnMs = Math.max(this.#nextMs, nowMs - this.#burstMs);
    this.#nextMs = turnMs + this.#restMs;
    if (turnMs <= nowMs) return Promise.resolve();
    return new Promise((resolve) => {
      this.#runtime.timers.after(turnMs - nowMs, resolve);
    });
  }
}
