// What an attempt says of its endpoint, for balancing and ejection: the latency of its answer, or
// what its failure is worth. Refusals of the other proxy that speak of limits, of policy or of the
// caller say nothing of the pod; nor does a kept connection that turns out to be stale.
import type { Endpoint } from '../route/index.ts';
import type { Engine } from './engine.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { Reason } from './refusals.ts';
import type { Fault } from './outliers.ts';

/** An endpoint that fails counts as at least this slow (Finagle's failure penalty). */
const penaltyMs = 5_000;
const penaltyMaxMs = 300_000;

const faults: ReadonlyMap<Reason, Fault> = new Map([
  ['UpstreamConnect', 'refused'],
  ['TimeoutConnect', 'hard'],
  ['UpstreamReset', 'hard'],
  ['UpstreamProtocol', 'hard'],
  ['TimeoutRequest', 'hard'],
  ['TimeoutIdle', 'hard'],
  ['TunnelUnavailable', 'hard'],
]);

/** The head of an answer has come. True: its endpoint is ejected by this. */
export function noteAnswer(
  { loads, random }: Engine,
  endpoint: Endpoint,
  { status, fields }: HttpResponseHead,
  latencyMs: number,
): boolean {
  if (status !== 429 && status < 500) {
    loads.measured(endpoint, latencyMs);
    loads.succeeded(endpoint);
    return false;
  }
  const isBusy = status === 429 || status === 503;
  const asked = isBusy ? Number(fields.get('retry-after') ?? 0) * 1_000 : 0;
  const waitMs = Number.isFinite(asked) ? asked : 0;
  loads.measured(endpoint, Math.min(penaltyMaxMs, Math.max(penaltyMs, waitMs, latencyMs)));
  return loads.failed(endpoint, status === 429 ? 'soft' : 'hard', random);
}

/** It has failed before an answer came, or while it came. True: its endpoint is ejected. */
export function noteFailed(engine: Engine, endpoint: Endpoint, reason: Reason): boolean {
  const fault = faults.get(reason);
  if (fault === undefined) return false;
  engine.loads.measured(endpoint, penaltyMs);
  return engine.loads.failed(endpoint, fault, engine.random);
}
