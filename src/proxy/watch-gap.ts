// Whether what a watch has told can be relied on. A stream that was closed for a while, or a list
// that began anew, may hide objects that came and went; one that is closed for long tells of the
// past. Asked often: it knows only what it was shown.

export type WatchSight = { readonly isConnected: boolean; readonly relists: number };

/** A shorter break hides no pod: none lives and hands its address on within it. */
const gapMs = 1_000;
/** Longer, and the watch is stale: what it said counts, that nothing changed does not. */
const staleMs = 5_000;

export class WatchGap {
  #closedMs: number | undefined;
  #relists = 0;
  #hasGap = false;
  #wasConnected = false;

  note({ isConnected, relists }: WatchSight, nowMs: number): void {
    if (this.#wasConnected && relists !== this.#relists) this.#hasGap = true;
    this.#relists = relists;
    if (!isConnected) {
      this.#closedMs ??= nowMs;
      return;
    }
    const isLong = this.#closedMs !== undefined && nowMs - this.#closedMs > gapMs;
    if (isLong && this.#wasConnected) this.#hasGap = true;
    this.#closedMs = undefined;
    this.#wasConnected = true;
  }

  /** Whether objects may have come and gone unseen since the last question. */
  take(): boolean {
    const hasGap = this.#hasGap || (this.#wasConnected && this.#closedMs !== undefined);
    this.#hasGap = false;
    return hasGap;
  }

  isLive(nowMs: number): boolean {
    return this.#closedMs === undefined || nowMs - this.#closedMs <= staleMs;
  }
}
