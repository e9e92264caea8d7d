// Batches events before the compiler runs. What is urgent goes out in the next turn of the loop;
// the rest 2 ms after the last event, at most 50 ms after the first, so that what comes together –
// on several watches in one moment – is one compilation. (`kubectl apply` writes its objects one
// after the other, 10 to 30 ms apart: no wait that is worth it joins them.) Runs of what is not
// urgent begin 20 ms apart at least; and under a storm of urgent events the loop is left alone as
// long as the last run took, so that compiling takes at most half of it.
import type { Runtime, Timer } from '../lib/clock.ts';

export type HoldOff = {
  readonly note: (isUrgent: boolean) => void;
  readonly cancel: () => void;
};

const settleMs = 2;
/** Between the beginnings of two runs: fifty a second follow any storm of changes closely. */
const apartMs = 20;
const heldMaxMs = 50;

/** `run` is told when the first of the events came that it is for (monotonic ms). */
export function createHoldOff(runtime: Runtime, run: (firstMs: number) => void): HoldOff {
  const held = new HeldRun(runtime, run);
  return { note: (isUrgent) => held.note(isUrgent), cancel: () => held.cancel() };
}

class HeldRun {
  readonly #runtime: Runtime;
  readonly #run: (firstMs: number) => void;
  #timer: Timer | undefined;
  #firstMs: number | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #restUntilMs = 0;
  #apartUntilMs = 0;
  #isUrgent = false;

  constructor(runtime: Runtime, run: (firstMs: number) => void) {
    this.#runtime = runtime;
    this.#run = run;
  }

  note(isUrgent: boolean): void {
    const nowMs = this.#runtime.clock.nowMs();
    this.#firstMs ??= nowMs;
    this.#isUrgent ||= isUrgent;
    const settledMs = this.#isUrgent ? nowMs : Math.max(nowMs + settleMs, this.#apartUntilMs);
    const wantedMs = Math.min(settledMs, this.#firstMs + heldMaxMs);
    this.#schedule(Math.max(wantedMs, this.#restUntilMs), nowMs);
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(dueMs: number, nowMs: number): void {
    // An urgent run that is due already is not put off by the next urgent event.
    if (this.#timer !== undefined && this.#isUrgent && dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#runtime.timers.after(Math.max(0, dueMs - nowMs), () => this.#fire());
  }

  #fire(): void {
    const startedMs = this.#runtime.clock.nowMs();
    const firstMs = this.#firstMs ?? startedMs;
    this.#timer = undefined;
    this.#firstMs = undefined;
    this.#isUrgent = false;
    this.#apartUntilMs = startedMs + apartMs;
    try {
      this.#run(firstMs);
    } finally {
      const endedMs = this.#runtime.clock.nowMs();
      this.#restUntilMs = endedMs + Math.min(heldMaxMs, endedMs - startedMs);
    }
  }
}
