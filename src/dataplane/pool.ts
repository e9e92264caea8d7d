// The pools of a worker: open connections per endpoint, idle ones kept for the next request, newest
// first so that the tail of a burst closes by itself. It dials only the endpoint it is given, and
// whoever gives it one took it from a table. Bounds: idle connections per endpoint, and their age.
import type { Network } from '../lib/network.ts';
import type { Endpoint } from '../route/index.ts';
import type { Deadlines } from './deadlines.ts';
import type { HeadLimits } from './http1/limits.ts';
import { idlePerEndpointMax, lingerMs, partingMs } from './limits.ts';
import type { OpenConnections } from './open-connections.ts';
import type { OwnConnections, Ticket } from './places.ts';
import type { BodyBuffers } from './read-buffers.ts';
import type { TurnClock } from './turn-clock.ts';
import { UpstreamConnection } from './upstream.ts';
import type { UpstreamOwner } from './upstream.ts';

export type PoolsOptions = {
  readonly network: Pick<Network, 'connect'>;
  readonly deadlines: Deadlines;
  readonly limits: HeadLimits;
  readonly buffers: BodyBuffers;
  readonly clock: TurnClock;
  readonly localAddress: string | undefined;
  readonly opened: OpenConnections;
  readonly bugFound: (error: unknown) => void;
};

export class Pools implements UpstreamOwner, OwnConnections {
  readonly #options: PoolsOptions;
  readonly #idle = new Map<string, UpstreamConnection[]>();
  readonly #open = new Set<UpstreamConnection>();

  constructor(options: PoolsOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#open.size;
  }

  get idleCount(): number {
    let sum = 0;
    for (const list of this.#idle.values()) sum += list.length;
    return sum;
  }

  /** An idle connection to the endpoint, or undefined. */
  take(endpoint: Endpoint): UpstreamConnection | undefined {
    if (!this.hasSpare(endpoint.id)) return undefined;
    const connection = this.#idle.get(endpoint.id)?.pop();
    if (connection !== undefined) this.#options.deadlines.disarm(connection.deadline);
    return connection;
  }

  /** Whether `take` has one. */
  hasSpare(endpointId: string): boolean {
    const list = this.#idle.get(endpointId);
    if (list === undefined) return false;
    for (let last = list.at(-1); last !== undefined; last = list.at(-1)) {
      if (last.isUsable) return true;
      list.pop();
      last.destroy();
    }
    return false;
  }

  /** The one that has been idle for the longest time. */
  giveUp(endpointId: string): boolean {
    const oldest = this.#idle.get(endpointId)?.shift();
    if (oldest === undefined) return false;
    this.#options.deadlines.arm(oldest.deadline, partingMs);
    oldest.retire();
    return true;
  }

  endpointIds(): Iterable<string> {
    return this.#idle.keys();
  }

  /**
   * A new connection; its user is told when it is connected or has failed. `ticket` may hold the
   * place for it.
   */
  open(
    endpoint: Endpoint,
    connectTimeoutMs: number,
    ticket: Ticket | undefined,
  ): UpstreamConnection {
    const { network, deadlines, limits, buffers, clock, localAddress, opened } = this.#options;
    const { address, port, id } = endpoint;
    const socket = network.connect({ address, port, localAddress });
    opened.count(socket, id, ticket);
    const connection = new UpstreamConnection({
      socket,
      endpointId: id,
      limits,
      buffers,
      clock,
      owner: this,
    });
    this.#open.add(connection);
    deadlines.arm(connection.deadline, connectTimeoutMs);
    return connection;
  }

  keepIdle(connection: UpstreamConnection, idleMs: number): void {
    let list = this.#idle.get(connection.endpointId);
    if (list === undefined) {
      list = [];
      this.#idle.set(connection.endpointId, list);
    }
    if (idleMs === 0 || list.length >= idlePerEndpointMax) {
      connection.destroy();
      return;
    }
    list.push(connection);
    this.#options.deadlines.arm(connection.deadline, idleMs);
  }

  forget(connection: UpstreamConnection): void {
    this.#options.deadlines.disarm(connection.deadline);
    this.#open.delete(connection);
    const list = this.#idle.get(connection.endpointId);
    if (list === undefined) return;
    const index = list.indexOf(connection);
    if (index >= 0) list.splice(index, 1);
    // An empty list stays as long as a connection may come back to it.
    if (list.length === 0) this.#idle.delete(connection.endpointId);
  }

  connected(connection: UpstreamConnection): void {
    this.#options.deadlines.disarm(connection.deadline);
  }

  forgetSoon(connection: UpstreamConnection): void {
    this.#options.deadlines.arm(connection.deadline, lingerMs);
  }

  bugFound(error: unknown): void {
    this.#options.bugFound(error);
  }

  /** Cuts everything. */
  close(): void {
    for (const connection of [...this.#open]) connection.destroy();
  }
}
