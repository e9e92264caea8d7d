// Exponential back-off with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015): the
// delay is uniform between the base and the grown ceiling, so that many clients spread out.
import type { Random } from './clock.ts';

export type BackoffLimits = { readonly baseMs: number; readonly maxMs: number };

/** Milliseconds to wait before attempt number `attempt` (0 = the first retry). */
export function backoffMs(attempt: number, limits: BackoffLimits, random: Random): number {
  const ceilingMs = Math.min(limits.maxMs, limits.baseMs * 2 ** Math.min(attempt, 30));
  return limits.baseMs + random() * Math.max(0, ceilingMs - limits.baseMs);
}
