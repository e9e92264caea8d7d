// Which calls between nodes have long answers, learnt from their last ones (docs/design/0013): such
// calls have tunnels of their own, because a long body costs less there, and because a session
// that is busy with one would make the small calls beside it wait. A guess: who guesses wrong pays
// some microseconds.
// Bound: so many calls are known; more begin anew.

const callsMax = 1_024;
/** A call that has had one long answer; every short one takes an eighth off. */
const firstShare = 0.6;
const step = 1 / 8;
const longShare = 0.5;
const forgottenShare = 0.05;

/** A request body of more bytes goes by itself. */
export const longBodyBytes = 64 * 1024;

export class LongBodies {
  /** How many of the last answers were long, by what was called. */
  readonly #shares = new Map<string, number>();

  /** Calls of which something is known. */
  get size(): number {
    return this.#shares.size;
  }

  /** `call`: what names Service and pod. */
  expects(call: string): boolean {
    // Most workers have never seen one.
    return this.#shares.size > 0 && (this.#shares.get(call) ?? 0) > longShare;
  }

  note(call: string, isLong: boolean): void {
    if (this.#shares.size === 0 && !isLong) return;
    const share = this.#shares.get(call);
    if (share === undefined) {
      if (isLong) this.#begin(call);
      return;
    }
    const next = share + ((isLong ? 1 : 0) - share) * step;
    if (next < forgottenShare) this.#shares.delete(call);
    else this.#shares.set(call, next);
  }

  #begin(call: string): void {
    if (this.#shares.size >= callsMax) this.#shares.clear();
    this.#shares.set(call, firstShare);
  }
}
