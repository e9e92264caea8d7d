// What requests that come by tunnel are for, looked up once per table: most ask for the same few
// pods, and what is counted per Service is found by the objects that this gives out.
import { endpointOfTunnel } from '../route/index.ts';
import type { RouteTable, TunnelEnd, TunnelTarget } from '../route/index.ts';
import { endpointId } from '../snapshot/index.ts';

/** (Service, port, pod) of one node; more of them are looked up each time. */
const knownMax = 4_096;

export class Arrivals {
  #table: RouteTable | undefined;
  readonly #ends = new Map<string, TunnelEnd>();

  /** The pod that is asked for; undefined: it is not here. */
  find(table: RouteTable, target: TunnelTarget): TunnelEnd | undefined {
    if (table !== this.#table) {
      this.#table = table;
      this.#ends.clear();
    }
    const { namespace, service, port, transport, address, podPort } = target;
    const key = `${namespace}/${service}:${port} ${endpointId(address, podPort, transport)}`;
    const known = this.#ends.get(key);
    if (known !== undefined) return known;
    const end = endpointOfTunnel(table, target);
    // Only what exists: names that a peer makes up take no room.
    if (end !== undefined && this.#ends.size < knownMax) this.#ends.set(key, end);
    return end;
  }
}
