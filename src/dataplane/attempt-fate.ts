// What an attempt says of its endpoint, for balancing and ejection: the latency of its answer, or
// what its failure is worth. A call of gRPC is judged once, by its status, as the status of HTTP
// that stands for it: in the head where that is all there is, else when its trailers have come.
// Refusals of the other proxy that speak of limits, of policy or of the caller say nothing of the
// pod; nor does a kept connection that turns out to be stale, or a deadline that a caller has set.
import type { Endpoint } from '../route/index.ts';
import type { Engine } from './engine.ts';
import type { Fields } from './http1/fields.ts';
import type { Reason } from './refusals.ts';
import type { Fault } from './outliers.ts';
import { retryAfterMaxMs, retryAfterMs } from './retry-after.ts';

/** An endpoint that fails counts as at least this slow (Finagle's failure penalty). */
const penaltyMs = 5_000;

const faults: ReadonlyMap<Reason, Fault> = new Map([
  ['UpstreamConnect', 'refused'],
  ['TimeoutConnect', 'hard'],
  ['UpstreamReset', 'hard'],
  ['UpstreamProtocol', 'hard'],
  ['TimeoutRequest', 'hard'],
  ['TimeoutIdle', 'hard'],
  ['TunnelUnavailable', 'hard'],
]);

/** What is known of an answer when it is judged. */
export type Answered = {
  /** Of HTTP, or what stands for the status of a call. */
  readonly status: number;
  /** Of its head. */
  readonly fields: Fields;
  /** To the first byte of it; undefined: that has been noted. */
  readonly latencyMs: number | undefined;
};

/** An answer is judged. True: its endpoint is ejected by this. */
export function noteAnswer(
  { loads, clock, random }: Engine,
  endpoint: Endpoint,
  { status, fields, latencyMs }: Answered,
): boolean {
  if (status !== 429 && status < 500) {
    if (latencyMs !== undefined) loads.measured(endpoint, latencyMs);
    loads.succeeded(endpoint);
    return false;
  }
  const isBusy = status === 429 || status === 503;
  const askedMs = isBusy ? retryAfterMs(fields.get('retry-after'), clock.wallMs()) : 0;
  const waitMs = Math.min(retryAfterMaxMs, askedMs);
  loads.measured(endpoint, Math.max(penaltyMs, waitMs, latencyMs ?? 0));
  return loads.failed(endpoint, status === 429 ? 'soft' : 'hard', random);
}

/** A call has begun to be answered, and will be judged at its end, which may be far away. */
export function noteBegun({ loads }: Engine, endpoint: Endpoint, latencyMs: number): void {
  loads.measured(endpoint, latencyMs);
  loads.recovered(endpoint);
}

/** It has failed before an answer came, or while it came. True: its endpoint is ejected. */
export function noteFailed(engine: Engine, endpoint: Endpoint, reason: Reason): boolean {
  const fault = faults.get(reason);
  if (fault === undefined) return false;
  engine.loads.measured(endpoint, penaltyMs);
  return engine.loads.failed(endpoint, fault, engine.random);
}
