// Which endpoint of a backend takes an attempt: least load, looked at in full where there are few,
// by the power of two choices where there are many (Mitzenmacher 2001). Pure: load, exclusions and
// chance come in as arguments. Excluded endpoints (tried already, ejected) are never picked.
import type { Random } from '../lib/clock.ts';
import type { Backend, Endpoint, LoadView } from './types.ts';

/** Up to here a full scan costs no more than two good draws. */
const fullScanMax = 8;
/** Draws that may hit excluded endpoints before all are looked at. */
const drawsMax = 8;

/** The endpoint for the next attempt; `undefined` when none is left. */
export function pickEndpoint(
  backend: Backend,
  view: LoadView,
  random: Random,
): Endpoint | undefined {
  const { endpoints } = backend;
  if (endpoints.length <= fullScanMax) return leastLoaded(endpoints, view, random);
  let first: Endpoint | undefined;
  for (let draw = 0; draw < drawsMax; draw += 1) {
    const drawn = endpoints[Math.floor(random() * endpoints.length)];
    if (drawn === undefined || drawn === first || view.isExcluded(drawn)) continue;
    if (first !== undefined) return view.load(drawn) < view.load(first) ? drawn : first;
    first = drawn;
  }
  return first ?? leastLoaded(endpoints, view, random);
}

/** Among equals each is as likely as the others (reservoir sampling). */
function leastLoaded(
  endpoints: readonly Endpoint[],
  view: LoadView,
  random: Random,
): Endpoint | undefined {
  let best: Endpoint | undefined;
  let bestLoad = Infinity;
  let equals = 0;
  for (const endpoint of endpoints) {
    if (view.isExcluded(endpoint)) continue;
    const load = view.load(endpoint);
    if (best === undefined || load < bestLoad) {
      best = endpoint;
      bestLoad = load;
      equals = 1;
    } else if (load === bestLoad) {
      equals += 1;
      if (random() * equals < 1) best = endpoint;
    }
  }
  return best;
}
