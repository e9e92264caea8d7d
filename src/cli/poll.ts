// Looks again and again at something in a cluster, with a deadline: what is not there by then is a
// finding of the caller, not an error.
import type { Runtime } from '../lib/clock.ts';

const lookEveryMs = 500;

/** Whether it got there before the deadline. */
export async function poll(
  { clock, timers }: Runtime,
  deadlineMs: number,
  isThere: () => Promise<boolean>,
): Promise<boolean> {
  const untilMs = clock.nowMs() + deadlineMs;
  for (;;) {
    if (await isThere()) return true;
    if (clock.nowMs() >= untilMs) return false;
    await new Promise<void>((resolve) => {
      timers.after(lookEveryMs, resolve);
    });
  }
}
