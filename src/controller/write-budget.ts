// How often one object may be written: a few times at once, then one write in a while. A burst of
// new services is folded into few writes by it, and somebody who reverts what we write costs a
// write in two seconds and no more. Pure but for the count that it keeps: time is an argument.

const burst = 10;
const restMs = 2_000;

/** One per object. */
export class WriteBudget {
  /** When all of the burst is there again. */
  #fullMs = Number.NEGATIVE_INFINITY;

  /** Takes one write and answers 0, or says how long there is none. `nowMs` is monotonic. */
  take(nowMs: number): number {
    const fullMs = Math.max(this.#fullMs, nowMs) + restMs;
    const waitMs = fullMs - nowMs - burst * restMs;
    if (waitMs > 0) return waitMs;
    this.#fullMs = fullMs;
    return 0;
  }
}
