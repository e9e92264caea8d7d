// Telling clients to leave (contract: `--drain-delay`, `--drain-timeout`). While it lasts new
// connections are accepted, because kube-proxy goes on sending them to the only proxy of a node,
// and every answer says `Connection: close`. It is over as soon as nothing is in flight after the
// delay, at the latest at the timeout. In the last part of a drain that never gets quiet nothing
// new is accepted, so that what is in flight can end instead of being cut.
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

export type DrainOptions = { readonly delayMs: number; readonly timeoutMs: number };

export type DrainSteps = {
  /** Exchanges in flight, and answers that have not left yet. */
  readonly inFlight: () => number;
  readonly closeIdleConnections: () => void;
  readonly stopAccepting: () => void;
};

/** How often a drain looks whether nothing is in flight any more. */
const lookMs = 25;
/** Before the timeout of a drain that never gets quiet: time for the last requests to end. */
const lastCallMs = 1_000;

/** Resolves when it is over; the caller closes what is left. */
export function drain(
  deadlines: Deadlines,
  options: DrainOptions,
  steps: DrainSteps,
): Promise<void> {
  const startedMs = deadlines.nowMs();
  const timeoutMs = Math.max(options.delayMs, options.timeoutMs);
  const acceptingMs = Math.max(options.delayMs, timeoutMs - lastCallMs);
  let isAccepting = true;
  const stopAccepting = (): void => {
    if (isAccepting) steps.stopAccepting();
    isAccepting = false;
  };
  return new Promise((resolve) => {
    const look = new Deadline(() => {
      const elapsedMs = deadlines.nowMs() - startedMs;
      steps.closeIdleConnections();
      const isQuiet = steps.inFlight() === 0;
      if ((isQuiet && !isAccepting) || elapsedMs >= timeoutMs) {
        stopAccepting();
        resolve();
        return;
      }
      // Quiet while it still accepts is not the end: what came in this moment would be cut. The
      // other workers of the proxy go on accepting until they are quiet themselves.
      if (isQuiet || elapsedMs >= acceptingMs) stopAccepting();
      deadlines.arm(look, lookMs);
    });
    deadlines.arm(look, options.delayMs);
  });
}
