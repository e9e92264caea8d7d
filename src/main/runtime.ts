// The real clock, timers and chance (A12): the only implementations outside tests. Timers never
// keep the process alive; what must live keeps a socket or a server open.
import { performance } from 'node:perf_hooks';
import type { Runtime } from '../lib/clock.ts';

/** Longest delay that setTimeout takes (2^31 - 1 ms); longer ones would fire at once. */
const longestDelayMs = 2_147_483_647;

export const realRuntime: Runtime = {
  clock: { nowMs: () => performance.now(), wallMs: () => Date.now() },
  timers: {
    after: (delayMs, callback) => {
      const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), longestDelayMs));
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
  },
  random: () => Math.random(),
};
