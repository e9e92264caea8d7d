// Open tunnels to other nodes' proxies, by (identity of the caller, node): identities never share a
// connection. A request takes whichever connection of its key is free first – one that comes back,
// or one that has just been greeted – and what it waits for is bounded in time. Handshakes at once
// are bounded per key and per worker. A connection is replaced in order when its certificate, its
// bundle or its peer is; one that is busy then serves its request to the end.
// Invariant: whoever waits is told once, by a connection or a failure, or leaves by itself.
import { backoffMs } from '../lib/backoff.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { PeerIdentity, SpiffeId } from '../identity/index.ts';
import type { SecureSocket } from '../lib/network.ts';
import type { PeerPart } from '../snapshot/index.ts';
import type { Credentials, CredentialChange, UsableCredential } from './credentials.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import type { HeadLimits } from './http1/limits.ts';
import {
  idlePerEndpointMax,
  lingerMs,
  rootGoneMs,
  rootSpreadMs,
  unusedTunnelMs,
} from './limits.ts';
import type { BodyBuffers } from './read-buffers.ts';
import type { TurnClock } from './turn-clock.ts';
import { TunnelDial } from './tunnel-dial.ts';
import type { DialFailure } from './tunnel-dial.ts';
import { lifeLeftMs, TunnelLife } from './tunnel-life.ts';
import { TunnelWait } from './tunnel-wait.ts';
import type { TunnelTaker } from './tunnel-wait.ts';
import { UpstreamConnection } from './upstream.ts';
import type { UpstreamOwner } from './upstream.ts';

/** Handshakes at once for one key, and of one worker: each costs a millisecond of CPU. */
const dialsPerKeyMax = 8;
const dialsMax = 64;
/**
 * After a failed handshake, with jitter: requests wait for it, so that it is short; and one dial at
 * a time until one succeeds, so that a node that answers nobody is not stormed.
 */
const rest = { baseMs: 25, maxMs: 500 } as const;
/** A pod's first requests may come before its certificate does (contract §3). */
const identityWaitMs = 2_000;
/** Replaced connections end within this time, not all at once. */
const replaceSpreadMs = 10_000;

export type TunnelIdentities = {
  readonly trustDomain: string;
  readonly proxyId: SpiffeId;
  /** Port of every peer. */
  readonly port: number;
};

export type TunnelPoolsOptions = {
  readonly credentials: Pick<Credentials, 'of' | 'own'>;
  readonly identities: TunnelIdentities;
  readonly peers: () => PeerPart | undefined;
  readonly deadlines: Deadlines;
  readonly limits: HeadLimits;
  readonly buffers: BodyBuffers;
  readonly clock: TurnClock & Clock;
  readonly random: Random;
  readonly localAddress: string | undefined;
  readonly bugFound: (error: unknown) => void;
  /** A handshake has ended: `ok`, or what went wrong. */
  readonly dialled: (node: string, result: string, message: string) => void;
  readonly opened: () => void;
  readonly closed: () => void;
};

/** Whose tunnel, and whereto. `id` undefined: nobody's, under the proxy's own certificate. */
export type TunnelKey = {
  readonly id: SpiffeId | undefined;
  readonly node: string;
  /** From `tunnelName`, where a key is used again and again. */
  readonly name?: string;
};

/** What is known of one key. */
type Pool = TunnelKey & {
  /** Newest last. */
  readonly idle: UpstreamConnection[];
  readonly waiting: Set<TunnelWait>;
  readonly dials: Set<TunnelDial>;
  /** Connections that were greeted and have not closed. */
  open: number;
  /** Which of the node's addresses is dialled next. */
  turn: number;
  /** Rounds of all addresses that have failed since one was greeted. */
  failures: number;
  /** A round has failed; the next one has to wait for this. */
  readonly redial: Deadline;
};

export class TunnelPools implements UpstreamOwner {
  readonly #options: TunnelPoolsOptions;
  readonly #pools = new Map<string, Pool>();
  readonly #lives = new Map<UpstreamConnection, TunnelLife<Pool>>();
  /** Pools that may not dial because the worker dials enough. */
  readonly #hungry = new Set<Pool>();
  #dials = 0;

  constructor(options: TunnelPoolsOptions) {
    this.#options = options;
  }

  get trustDomain(): string {
    return this.#options.identities.trustDomain;
  }

  get openCount(): number {
    return this.#lives.size;
  }

  /** Of which something is known. */
  get keyCount(): number {
    return this.#pools.size;
  }

  get waitingCount(): number {
    let sum = 0;
    for (const { waiting } of this.#pools.values()) sum += waiting.size;
    return sum;
  }

  /** A connection that is free now, or undefined. */
  take(key: TunnelKey): UpstreamConnection | undefined {
    const idle = this.#pools.get(nameOf(key))?.idle;
    while (idle !== undefined && idle.length > 0) {
      const connection = idle.pop();
      if (connection === undefined) break;
      this.#options.deadlines.disarm(connection.deadline);
      if (connection.isUsable) return connection;
      connection.destroy();
    }
    return undefined;
  }

  /** Waits for a connection, `waitMs` at most; the taker is told later, never from within. */
  await(key: TunnelKey, waitMs: number, taker: TunnelTaker): TunnelWait {
    const pool = this.#poolOf(key);
    const { deadlines, buffers } = this.#options;
    const wait = new TunnelWait({
      taker,
      deadlines,
      buffers,
      isCertified: this.#credential(key) !== undefined,
      identityWaitMs,
      waitMs,
      left: () => {
        pool.waiting.delete(wait);
        this.#forgetEmpty(pool);
      },
      bugFound: this.#options.bugFound,
    });
    pool.waiting.add(wait);
    this.#dispatch(pool);
    return wait;
  }

  /** Certificates or roots are others now. */
  credentialsChanged(change: CredentialChange): void {
    for (const life of [...this.#lives.values()]) {
      const { id } = life.pool;
      const isReplaced = id === undefined ? change.isOwnReplaced : change.replaced.has(id);
      const random = this.#options.random();
      if (change.isRootGone) life.endWithin(rootSpreadMs * random, rootGoneMs);
      else if (this.#credential(life.pool) === undefined) life.retireIn(0);
      else if (isReplaced) life.retireIn(replaceSpreadMs * random);
    }
    for (const pool of [...this.#pools.values()]) {
      if (this.#credential(pool) === undefined) continue;
      for (const wait of pool.waiting) wait.certified();
      this.#beginAnew(pool);
    }
  }

  /** Proxies have come or gone: connections to another one than the best are replaced. */
  peersChanged(): void {
    const peers = this.#options.peers();
    for (const pool of [...this.#pools.values()]) this.#beginAnew(pool);
    for (const life of [...this.#lives.values()]) {
      const best = peers?.dial.get(life.pool.node)?.[0];
      if (best !== undefined && best !== life.address) life.retireIn(0);
    }
  }

  // ---- what connections tell --------------------------------------------------------------------

  keepIdle(connection: UpstreamConnection, idleMs: number): void {
    const life = this.#lives.get(connection);
    if (life === undefined || life.isRetiring || idleMs === 0) {
      connection.destroy();
      return;
    }
    const { pool } = life;
    const wait = first(pool.waiting);
    if (wait !== undefined) {
      wait.opened(connection, true);
      return;
    }
    if (pool.idle.length >= idlePerEndpointMax) {
      connection.destroy();
      return;
    }
    pool.idle.push(connection);
    this.#options.deadlines.arm(connection.deadline, idleMs);
  }

  forget(connection: UpstreamConnection): void {
    this.#options.deadlines.disarm(connection.deadline);
    const life = this.#lives.get(connection);
    if (life === undefined) return;
    this.#lives.delete(connection);
    life.end();
    this.#options.closed();
    const { pool } = life;
    pool.open -= 1;
    const index = pool.idle.indexOf(connection);
    if (index >= 0) pool.idle.splice(index, 1);
    this.#dispatch(pool);
    this.#forgetEmpty(pool);
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
    for (const pool of [...this.#pools.values()]) {
      for (const wait of [...pool.waiting]) wait.destroy();
      for (const dial of pool.dials) dial.cancel();
    }
    for (const connection of [...this.#lives.keys()]) connection.destroy();
  }

  // ---- dialling ---------------------------------------------------------------------------------

  #credential({ id }: TunnelKey): UsableCredential | undefined {
    const { credentials } = this.#options;
    return id === undefined ? credentials.own : credentials.of(id);
  }

  #poolOf(key: TunnelKey): Pool {
    const name = nameOf(key);
    const pool = this.#pools.get(name);
    if (pool === undefined) {
      const { id, node } = key;
      const live = { idle: [], waiting: new Set<TunnelWait>(), dials: new Set<TunnelDial>() };
      const redial = new Deadline(() => {
        this.#dispatch(made);
        this.#forgetEmpty(made);
      });
      const made: Pool = { id, node, ...live, open: 0, turn: 0, failures: 0, redial };
      this.#pools.set(name, made);
      return made;
    }
    return pool;
  }

  #forgetEmpty(pool: Pool): void {
    const isEmpty = pool.open === 0 && pool.dials.size === 0 && pool.waiting.size === 0;
    if (isEmpty && !pool.redial.isArmed) this.#pools.delete(nameOf(pool));
  }

  /** What has failed before may succeed now. */
  #beginAnew(pool: Pool): void {
    pool.turn = 0;
    pool.failures = 0;
    this.#options.deadlines.disarm(pool.redial);
    this.#dispatch(pool);
    this.#forgetEmpty(pool);
  }

  /** Opens as many connections as wait, within the limits. */
  #dispatch(pool: Pool): void {
    const credential = this.#credential(pool);
    if (credential === undefined) return;
    if (pool.redial.isArmed) return;
    const most = pool.failures > 0 ? 1 : dialsPerKeyMax;
    while (pool.dials.size < Math.min(most, pool.waiting.size)) {
      if (this.#dials >= dialsMax) {
        this.#hungry.add(pool);
        return;
      }
      if (!this.#dial(pool, credential)) return;
    }
  }

  /** False: there is nobody to dial. */
  #dial(pool: Pool, credential: UsableCredential): boolean {
    const { identities, peers, deadlines, clock, localAddress } = this.#options;
    const addresses = peers()?.dial.get(pool.node) ?? [];
    const turn = pool.turn % Math.max(1, addresses.length);
    const address = addresses[turn];
    if (address === undefined) {
      for (const wait of [...pool.waiting]) wait.failed('no proxy of the node is known');
      return false;
    }
    const dial: TunnelDial = new TunnelDial({
      ...identities,
      deadlines,
      nowMs: () => clock.wallMs(),
      context: credential.context,
      protocol: 'weft-h1/1',
      address,
      localAddress,
      node: pool.node,
      greeted: (socket, peer) => {
        this.#dialEnded(pool, dial);
        this.#greeted(pool, { socket, peer, address, credential, turn });
        this.#feed();
      },
      failed: (failure) => {
        this.#dialEnded(pool, dial);
        this.#dialFailed(pool, turn, failure);
        this.#feed();
      },
    });
    pool.dials.add(dial);
    this.#dials += 1;
    return true;
  }

  #dialEnded(pool: Pool, dial: TunnelDial): void {
    pool.dials.delete(dial);
    this.#dials -= 1;
  }

  #greeted(pool: Pool, how: Greeted): void {
    const { limits, buffers, clock, deadlines, random, dialled, opened } = this.#options;
    const { socket, peer, address, credential, turn } = how;
    const notAfterMs = Math.min(credential.notAfterMs, peer.notAfterMs);
    const leftMs = notAfterMs - clock.wallMs();
    if (leftMs <= 0) {
      socket.destroy();
      const message = 'a certificate ran out during the handshake';
      this.#dialFailed(pool, turn, { result: 'Expired', message });
      return;
    }
    dialled(pool.node, 'ok', '');
    opened();
    const connection = new UpstreamConnection({
      socket,
      endpointId: nameOf(pool),
      limits,
      buffers,
      clock,
      owner: this,
      isConnected: true,
    });
    const life = new TunnelLife({
      pool,
      address,
      deadlines,
      retired: () => {
        if (connection.isIdle) connection.destroy();
      },
      // The connection's user hears of it as of any peer that is gone.
      cut: () => socket.destroy(),
    });
    life.endWithin(lifeLeftMs(notAfterMs, clock.wallMs(), random()), leftMs);
    this.#lives.set(connection, life);
    pool.open += 1;
    pool.failures = 0;
    deadlines.disarm(pool.redial);
    // What changed in the meantime: a certificate that is replaced serves what waits for it, once.
    const wait = first(pool.waiting);
    if (wait === undefined) this.keepIdle(connection, unusedTunnelMs);
    else wait.opened(connection, false);
    this.#dispatch(pool);
  }

  /** Who waits goes on waiting as long as anything is left that could serve him. */
  #dialFailed(pool: Pool, turn: number, { result, message }: DialFailure): void {
    this.#options.dialled(pool.node, result, message);
    if (turn === pool.turn && !pool.redial.isArmed) this.#turn(pool);
    this.#dispatch(pool);
    if (pool.open > 0 || pool.dials.size > 0) return;
    this.#failAll(pool, `${result}: ${message}`);
    this.#forgetEmpty(pool);
  }

  /** On to the next address; after the last one there is a rest. */
  #turn(pool: Pool): void {
    const { deadlines, peers, random } = this.#options;
    pool.turn += 1;
    if (pool.turn < (peers()?.dial.get(pool.node)?.length ?? 0)) return;
    pool.turn = 0;
    deadlines.arm(pool.redial, backoffMs(pool.failures, rest, random));
    pool.failures += 1;
  }

  #failAll(pool: Pool, detail: string): void {
    for (const wait of [...pool.waiting]) wait.dialFailed(detail);
  }

  /** A handshake has ended: others may begin theirs. */
  #feed(): void {
    for (const pool of [...this.#hungry]) {
      if (this.#dials >= dialsMax) return;
      this.#hungry.delete(pool);
      this.#dispatch(pool);
    }
  }
}

type Greeted = {
  readonly socket: SecureSocket;
  readonly peer: PeerIdentity;
  readonly address: string;
  readonly credential: UsableCredential;
  readonly turn: number;
};

/** No SPIFFE id and no node's name holds a space. */
export function tunnelName(id: SpiffeId | undefined, node: string): string {
  return `${id ?? ''} ${node}`;
}

function nameOf({ id, node, name }: TunnelKey): string {
  return name ?? tunnelName(id, node);
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const one of set) return one;
  return undefined;
}
