// How busy endpoints are, from the counters that all workers share. One view serves a worker: the
// exchange that picks says which endpoints it has tried, so that no closure is made per request.
import type { Random } from '../lib/clock.ts';
import { pickEndpoint } from '../route/index.ts';
import type { Backend, Endpoint, LoadView } from '../route/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import { noneTried } from './retries.ts';

export class EndpointLoads implements LoadView {
  readonly #slots: SlotView;
  /** Endpoint ids that the exchange which picks now does not want again. */
  #tried: ReadonlySet<string> = noneTried;

  constructor(slots: SlotView) {
    this.#slots = slots;
  }

  readonly load = (endpoint: Endpoint): number =>
    this.#slots.inFlight(this.#slots.offset('endpoint', endpoint.id));

  readonly isExcluded = (endpoint: Endpoint): boolean => this.#tried.has(endpoint.id);

  /** The endpoint for an attempt; those tried already only when there is no other. */
  pick(backend: Backend, tried: ReadonlySet<string>, random: Random): Endpoint | undefined {
    this.#tried = tried;
    const picked = pickEndpoint(backend, this, random);
    if (picked !== undefined || tried.size === 0) return picked;
    this.#tried = noneTried;
    return pickEndpoint(backend, this, random);
  }

  /** Counts a request in flight; the cell that is returned has to be counted down again. */
  countUp(endpoint: Endpoint): number {
    return this.#slots.countUp(this.#slots.offset('endpoint', endpoint.id));
  }

  /** Takes the cell, not the endpoint: the key may have lost its slot meanwhile. */
  countDown(cell: number): void {
    this.#slots.countDown(cell);
  }
}
