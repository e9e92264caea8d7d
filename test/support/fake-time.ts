// A clock and timers that a test moves by hand, for what runs without promises; with promises there
// is test/kube/support/fake-runtime.ts. Timers run in the order in which they are due.
import type { Clock, Timers } from '../../src/lib/clock.ts';

export type FakeTime = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Timers that are set now. */
  readonly timerCount: () => number;
  readonly advance: (byMs: number) => void;
  readonly advanceTo: (untilMs: number) => void;
};

/** `wallMs`: what a wall clock shows when the monotonic one shows 0. */
export function fakeTime({ startMs = 0, wallMs = 0 } = {}): FakeTime {
  let nowMs = startMs;
  let pending: { readonly dueMs: number; readonly callback: () => void }[] = [];
  const timers: Timers = {
    after: (delayMs, callback) => {
      const one = { dueMs: nowMs + delayMs, callback };
      pending.push(one);
      return { cancel: () => void (pending = pending.filter((other) => other !== one)) };
    },
  };
  const advanceTo = (untilMs: number): void => {
    for (;;) {
      pending.sort((left, right) => left.dueMs - right.dueMs);
      const [next] = pending;
      if (next === undefined || next.dueMs > untilMs) break;
      pending.shift();
      nowMs = Math.max(nowMs, next.dueMs);
      next.callback();
    }
    nowMs = untilMs;
  };
  return {
    clock: { nowMs: () => nowMs, wallMs: () => wallMs + nowMs },
    timers,
    nowMs: () => nowMs,
    timerCount: () => pending.length,
    advance: (byMs) => {
      advanceTo(nowMs + byMs);
    },
    advanceTo,
  };
}
