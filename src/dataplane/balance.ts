// Choices that do not go by latency: endpoints in turn, and the endpoint that a key belongs to
// (rendezvous hashing with bounded loads). Pure; loads, exclusions and turns are the caller's.
import type { Backend, Endpoint, LoadView } from '../route/index.ts';

/** A key's own endpoint is passed over when it has this much more than its part. */
const boundFactor = 1.25;

/** The next in the order of the backend that is not excluded; `turn` counts requests. */
export function pickInTurn(
  { endpoints }: Backend,
  view: LoadView,
  turn: number,
): Endpoint | undefined {
  const count = endpoints.length;
  for (let step = 0; step < count; step += 1) {
    const endpoint = endpoints[((turn >>> 0) + step) % count];
    if (endpoint !== undefined && !view.isExcluded(endpoint)) return endpoint;
  }
  return undefined;
}

/**
 * The endpoint of a key: highest random weight, so that a change of endpoints moves only the keys
 * of what came or went; passed over while it has more than 1.25 times its part of what is in
 * flight, else one busy key would drown its endpoint (Mirrokni et al. 2016).
 */
export function pickByKey(
  { endpoints }: Backend,
  view: LoadView,
  key: string,
): Endpoint | undefined {
  let inFlight = 1;
  let count = 0;
  for (const endpoint of endpoints) {
    if (view.isExcluded(endpoint)) continue;
    inFlight += view.load(endpoint);
    count += 1;
  }
  const loadMaxHere = Math.ceil((boundFactor * inFlight) / count);
  const keyHash = textHash(key);
  let best: Endpoint | undefined;
  let bestWeight = -1;
  for (const endpoint of endpoints) {
    if (view.isExcluded(endpoint) || view.load(endpoint) >= loadMaxHere) continue;
    const weight = mixed(keyHash ^ textHash(endpoint.id));
    if (weight <= bestWeight) continue;
    best = endpoint;
    bestWeight = weight;
  }
  return best;
}

/** FNV-1a, 32 bits: spreads, and is no secret. */
function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash;
}

function mixed(hash: number): number {
  let value = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
