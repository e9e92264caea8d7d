// Connections to pods, counted in the cells that all workers of the proxy share, from the moment
// they are dialled until the kernel has closed them: so `max-connections` knows of each, whoever
// opened it and for which service, and a connection that takes its place is never one too many at
// the pod. Tunnels are no connections to a pod: the proxy at their end counts.
import type { NetworkSocket } from '../lib/network.ts';
import type { SlotView } from '../telemetry/index.ts';
import type { Ticket } from './places.ts';

export class OpenConnections {
  readonly #slots: SlotView;
  readonly #freed: (endpointId: string) => void;

  /** `freed`: a connection to the endpoint is gone, or has room for more. */
  constructor(slots: SlotView, freed: (endpointId: string) => void) {
    this.#slots = slots;
    this.#freed = freed;
  }

  /** A connection to the endpoint is being opened; `ticket` may hold its place. */
  count(socket: NetworkSocket, endpointId: string, ticket: Ticket | undefined): void {
    const slots = this.#slots;
    const at = slots.connectionsAt(slots.offset('endpoint', endpointId));
    // By the cell: the endpoint may lose its slot meanwhile.
    const cell = ticket?.takeConnection() ?? slots.countUp(at);
    socket.on('close', () => {
      slots.countDown(cell);
      this.#freed(endpointId);
    });
  }

  /** An open connection takes more requests than it did. */
  roomier(endpointId: string): void {
    this.#freed(endpointId);
  }
}
