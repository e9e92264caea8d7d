// The real clock, timers and chance, for tests that talk to a real API server.
import { performance } from 'node:perf_hooks';
import type { Runtime } from '../../../src/lib/clock.ts';

export const realRuntime: Runtime = {
  clock: { nowMs: () => performance.now(), wallMs: () => Date.now() },
  timers: {
    after: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
  },
  random: Math.random,
};
