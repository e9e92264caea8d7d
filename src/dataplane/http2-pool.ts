// The HTTP/2 connections of a worker to pods: one per endpoint as long as its streams suffice, more
// where they run out. An attempt takes a stream of the first one that has room; the others age out.
// Bounds: as many attempts as there are exchanges, and the idle time of a connection.
import type { Network } from '../lib/network.ts';
import type { Endpoint } from '../route/index.ts';
import type { Deadlines } from './deadlines.ts';
import type { Http2Carriage } from './http2-carriage.ts';
import { AnswerHeads, RequestLines } from './http2-heads.ts';
import { Http2Upstream } from './http2-upstream.ts';
import type { Http2Shared, Http2UpstreamOwner } from './http2-upstream.ts';
import { partingMs, upstreamIdleMs } from './limits.ts';
import type { OpenConnections } from './open-connections.ts';
import type { OwnConnections, Ticket } from './places.ts';

/** A connection whose place another worker waits for takes requests so long, and then no more. */
const sliceMs = 50;
/** It goes on where an attempt has lasted so long: nobody knows when it could be given up. */
const soonMs = 400;

export type Http2PoolsOptions = Omit<Http2Shared, 'requests' | 'answers'> & {
  readonly network: Network;
  readonly deadlines: Deadlines;
  readonly localAddress: string | undefined;
  readonly opened: OpenConnections;
};

export class Http2Pools implements Http2UpstreamOwner, OwnConnections {
  readonly #options: Http2PoolsOptions;
  readonly #shared: Http2Shared;
  readonly #connections = new Map<string, Http2Upstream[]>();

  constructor(options: Http2PoolsOptions) {
    this.#options = options;
    this.#shared = { ...options, requests: new RequestLines(), answers: new AnswerHeads() };
  }

  get openCount(): number {
    let sum = 0;
    for (const list of this.#connections.values()) sum += list.length;
    return sum;
  }

  get idleCount(): number {
    let sum = 0;
    for (const list of this.#connections.values()) {
      for (const connection of list) if (connection.isIdle) sum += 1;
    }
    return sum;
  }

  /**
   * A place for one attempt; its user is told when the connection is there, unless it is ready.
   * `ticket` may hold the place of a connection.
   */
  take(
    endpoint: Endpoint,
    connectTimeoutMs: number,
    ticket: Ticket | undefined,
  ): Http2Carriage {
    const list = this.#connections.get(endpoint.id) ?? [];
    // Where connections are limited, one that may be about to become idle is left to do so.
    const kept = ticket && list.find((one) => this.#isKept(one));
    if (kept !== undefined) return kept.take();
    for (const connection of list) if (connection.canTake) return connection.take();
    return this.#open(endpoint, connectTimeoutMs, ticket).take();
  }

  hasSpare(endpointId: string, isWanted: boolean): boolean {
    const list = this.#connections.get(endpointId);
    if (list === undefined) return false;
    return list.some((one) => (isWanted ? this.#isKept(one) : one.canTake));
  }

  giveUp(endpointId: string): boolean {
    const idle = this.#connections.get(endpointId)?.find((one) => one.isIdle && one.canTake);
    if (idle === undefined) return false;
    idle.retire();
    this.#options.deadlines.arm(idle.deadline, partingMs);
    return true;
  }

  endpointIds(): Iterable<string> {
    return this.#connections.keys();
  }

  busy({ deadline, isConnecting }: Http2Upstream): void {
    if (!isConnecting) this.#options.deadlines.disarm(deadline);
  }

  idle({ deadline, isConnecting }: Http2Upstream): void {
    if (!isConnecting) this.#options.deadlines.arm(deadline, upstreamIdleMs);
  }

  settled({ endpointId }: Http2Upstream): void {
    this.#options.opened.roomier(endpointId);
  }

  forget(connection: Http2Upstream): void {
    this.#options.deadlines.disarm(connection.deadline);
    const list = this.#connections.get(connection.endpointId) ?? [];
    const left = list.filter((one) => one !== connection);
    if (left.length === 0) this.#connections.delete(connection.endpointId);
    else this.#connections.set(connection.endpointId, left);
  }

  /** Cuts everything. */
  close(): void {
    for (const list of [...this.#connections.values()]) {
      for (const connection of list) connection.destroy();
    }
  }

  /** It takes requests even while its place is wanted elsewhere. */
  #isKept(connection: Http2Upstream): boolean {
    if (!connection.canTake) return false;
    const ageMs = this.#options.clock.nowMs() - connection.openedMs;
    return ageMs <= sliceMs || connection.longestMs >= soonMs;
  }

  #open(
    endpoint: Endpoint,
    connectTimeoutMs: number,
    ticket: Ticket | undefined,
  ): Http2Upstream {
    const { network, deadlines, localAddress, opened } = this.#options;
    const { address, port, id } = endpoint;
    const socket = network.connect({ address, port, localAddress });
    opened.count(socket, id, ticket);
    const connection = new Http2Upstream({
      socket,
      endpointId: id,
      shared: this.#shared,
      owner: this,
    });
    const list = this.#connections.get(id);
    if (list === undefined) this.#connections.set(id, [connection]);
    else list.push(connection);
    deadlines.arm(connection.deadline, connectTimeoutMs);
    return connection;
  }
}
