// How long publications take from the event that caused them to the table that is live in every
// worker (`weft_config_applied_seconds`). Each counts once; one that no worker confirms – there may
// be none that runs – is forgotten when newer ones have taken its place.

/** Publications that wait at most; a worker confirms within milliseconds. */
const waitingMax = 256;

/** Lives as long as the proxy. */
export class AppliedTimes {
  /** Sequence → when its event was seen, oldest first. */
  readonly #waiting = new Map<number, number>();

  published(sequence: number, seenMs: number): void {
    this.#waiting.set(sequence, seenMs);
    if (this.#waiting.size <= waitingMax) return;
    const [oldest] = this.#waiting.keys();
    if (oldest !== undefined) this.#waiting.delete(oldest);
  }

  /** This publication and all before it are live: how long each of them took. */
  applied(sequence: number, nowMs: number): readonly number[] {
    const tookMs: number[] = [];
    for (const [published, seenMs] of this.#waiting) {
      if (published > sequence) break;
      this.#waiting.delete(published);
      tookMs.push(nowMs - seenMs);
    }
    return tookMs;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }
}
