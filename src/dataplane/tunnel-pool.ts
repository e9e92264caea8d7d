// Open tunnels to other nodes' proxies, by (identity of the caller, node): identities never share a
// connection. A request takes whichever connection of its key is free first – one that comes back,
// a new lane of a session, or one that has just been greeted – and what it waits for is bounded in
// time. Long bodies have tunnels of their own (tunnel-bodies.ts). Handshakes at once are bounded
// per key and per worker. A tunnel is replaced in order when its certificate, its bundle or its
// peer is; what is busy then serves its request to the end.
// Invariant: whoever waits is told once, by a connection or a failure, or leaves by itself.
import { backoffMs } from '../lib/backoff.ts';
import type { PeerIdentity } from '../identity/index.ts';
import type { NetworkSocket, SecureSocket } from '../lib/network.ts';
import type { CredentialChange, UsableCredential } from './credentials.ts';
import { Deadline } from './deadlines.ts';
import {
  idlePerEndpointMax,
  lingerMs,
  rootGoneMs,
  rootSpreadMs,
  unusedTunnelMs,
} from './limits.ts';
import { protocolOf } from './peer-check.ts';
import type { TunnelUse } from './peer-check.ts';
import { LongBodies } from './tunnel-bodies.ts';
import { TunnelDial } from './tunnel-dial.ts';
import type { DialFailure } from './tunnel-dial.ts';
import { dialsPerKeyMax, freeSession, maySessionsGrow, newKeyPool } from './tunnel-key-pool.ts';
import type { KeyPool, Member, TunnelPoolsOptions } from './tunnel-key-pool.ts';
import { nameOf } from './tunnel-key.ts';
import type { TunnelKey } from './tunnel-key.ts';
import { lifeLeftMs, TunnelLife } from './tunnel-life.ts';
import { LaneSession } from './tunnel-lanes.ts';
import type { SessionShared } from './tunnel-session.ts';
import { TunnelWait } from './tunnel-wait.ts';
import type { TunnelTaker } from './tunnel-wait.ts';
import { UpstreamConnection } from './upstream.ts';
import type { UpstreamOwner } from './upstream.ts';

/** Handshakes at once of one worker. */
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

export class TunnelPools implements UpstreamOwner {
  readonly #options: TunnelPoolsOptions;
  readonly #pools = new Map<string, KeyPool>();
  readonly #shared: SessionShared;
  readonly #members = new Map<UpstreamConnection, Member>();
  readonly #lives = new Set<TunnelLife<KeyPool>>();
  readonly #long = new LongBodies();
  /** Pools that may not dial because the worker dials enough. */
  readonly #hungry = new Set<KeyPool>();
  #dials = 0;

  constructor(options: TunnelPoolsOptions) {
    this.#options = options;
    this.#shared = { ...options, observer: options };
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

  /** A connection that is free now, or undefined. `isLong`: the request's body is. */
  take(key: TunnelKey, isLong = false): UpstreamConnection | undefined {
    const pool = this.#pools.get(nameOf(key, this.#useOf(key, isLong)));
    if (pool === undefined) return undefined;
    const connection = this.#takeIdle(pool) ?? this.#openLane(pool);
    this.#call(connection, key);
    return connection;
  }

  /** Waits for a connection, `waitMs` at most; the taker is told later, never from within. */
  await(key: TunnelKey, waitMs: number, taker: TunnelTaker): TunnelWait {
    const pool = this.#poolOf(key, this.#useOf(key, taker.isLong === true));
    const { deadlines, buffers } = this.#options;
    const wait = new TunnelWait({
      taker: {
        isPatient: taker.isPatient === true,
        tunnelOpened: (connection, isReused) => {
          this.#call(connection, key);
          taker.tunnelOpened(connection, isReused);
        },
      },
      deadlines,
      buffers,
      isCertified: this.#credential(pool) !== undefined,
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

  #useOf({ lines }: TunnelKey, isLong: boolean): TunnelUse {
    return isLong || (lines !== undefined && this.#long.expects(lines)) ? 'bodies' : 'requests';
  }

  #call(connection: UpstreamConnection | undefined, { lines }: TunnelKey): void {
    const member = connection && this.#members.get(connection);
    if (member !== undefined) member.lines = lines;
  }

  #takeIdle({ idle }: KeyPool): UpstreamConnection | undefined {
    while (idle.length > 0) {
      const connection = idle.pop();
      if (connection === undefined) break;
      this.#options.deadlines.disarm(connection.deadline);
      if (connection.isUsable) return connection;
      connection.destroy();
    }
    return undefined;
  }

  /** Certificates or roots are others now. */
  credentialsChanged(change: CredentialChange): void {
    for (const life of [...this.#lives]) {
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
    for (const life of [...this.#lives]) {
      const best = peers?.dial.get(life.pool.node)?.[0];
      if (best !== undefined && best !== life.address) life.retireIn(0);
    }
  }

  // ---- what connections tell --------------------------------------------------------------------

  keepIdle(connection: UpstreamConnection, idleMs: number): void {
    const member = this.#members.get(connection);
    if (member?.lines !== undefined) this.#long.note(member.lines, connection.hasBeenLong);
    const isLeaving = member?.session?.isLeaving ?? member?.life.isRetiring ?? true;
    if (member === undefined || isLeaving || idleMs === 0) {
      connection.destroy();
      return;
    }
    const { pool } = member.life;
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
    const member = this.#members.get(connection);
    if (member === undefined) return;
    this.#members.delete(connection);
    const { life, session } = member;
    const { pool } = life;
    const index = pool.idle.indexOf(connection);
    if (index >= 0) pool.idle.splice(index, 1);
    if (session === undefined) this.#closed(life);
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
    for (const connection of [...this.#members.keys()]) connection.destroy();
    for (const { sessions } of [...this.#pools.values()]) {
      for (const session of [...sessions]) session.destroy();
    }
  }

  // ---- dialling ---------------------------------------------------------------------------------

  #credential({ id, use }: Pick<KeyPool, 'id' | 'use'>): UsableCredential | undefined {
    const { credentials } = this.#options;
    return id === undefined ? credentials.own(use) : credentials.of(id, use);
  }

  #poolOf(key: TunnelKey, use: TunnelUse): KeyPool {
    const name = nameOf(key, use);
    const pool = this.#pools.get(name);
    if (pool === undefined) {
      const redial = new Deadline(() => {
        this.#dispatch(made);
        this.#forgetEmpty(made);
      });
      const made: KeyPool = newKeyPool(key, use, redial);
      this.#pools.set(name, made);
      return made;
    }
    return pool;
  }

  #forgetEmpty(pool: KeyPool): void {
    const isEmpty = pool.open === 0 && pool.dials.size === 0 && pool.waiting.size === 0;
    if (isEmpty && !pool.redial.isArmed) this.#pools.delete(pool.name);
  }

  /** What has failed before may succeed now. */
  #beginAnew(pool: KeyPool): void {
    pool.turn = 0;
    pool.failures = 0;
    this.#options.deadlines.disarm(pool.redial);
    this.#dispatch(pool);
    this.#forgetEmpty(pool);
  }

  /** Lanes for all who wait; else as many tunnels as they need, within the limits. */
  #dispatch(pool: KeyPool): void {
    if (pool.waiting.size === 0) return;
    const credential = this.#credential(pool);
    if (credential === undefined) return;
    if (freeSession(pool) !== undefined) this.#serveSoon(pool);
    else this.#dialAll(pool, credential);
  }

  /** Who waits has only just begun to, perhaps. */
  #serveSoon(pool: KeyPool): void {
    if (pool.isServeDue) return;
    pool.isServeDue = true;
    this.#options.turnEnd.add(() => {
      pool.isServeDue = false;
      for (const wait of [...pool.waiting]) {
        const connection = this.#openLane(pool);
        if (connection === undefined) break;
        wait.opened(connection, false);
      }
      this.#dispatch(pool);
    });
  }

  #dialAll(pool: KeyPool, credential: UsableCredential): void {
    if (pool.redial.isArmed || !maySessionsGrow(pool)) return;
    const most = pool.failures > 0 ? 1 : pool.dialsMost;
    while (pool.dials.size < Math.min(most, pool.waiting.size)) {
      if (this.#dials >= dialsMax) {
        this.#hungry.add(pool);
        return;
      }
      if (!this.#dial(pool, credential)) return;
    }
  }

  /** False: there is nobody to dial. */
  #dial(pool: KeyPool, credential: UsableCredential): boolean {
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
      use: pool.use,
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

  #dialEnded(pool: KeyPool, dial: TunnelDial): void {
    pool.dials.delete(dial);
    this.#dials -= 1;
  }

  #greeted(pool: KeyPool, how: Greeted): void {
    const { clock, deadlines, random, dialled, opened } = this.#options;
    const { socket, peer, credential, turn } = how;
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
    pool.open += 1;
    pool.failures = 0;
    deadlines.disarm(pool.redial);
    const isShared = protocolOf(socket.peer) === 'weft-h1/2';
    pool.dialsMost = isShared ? 1 : dialsPerKeyMax;
    const lifeMs = lifeLeftMs(notAfterMs, clock.wallMs(), random());
    const isCurrent = credential === this.#credential(pool);
    // Many would share, for an hour, what was replaced while it was dialled.
    if (isShared) this.#beginSession(pool, how).endWithin(isCurrent ? lifeMs : 0, leftMs);
    else this.#beginConnection(pool, how, [lifeMs, leftMs]);
    this.#dispatch(pool);
  }

  /** A tunnel that carries one request at a time. */
  #beginConnection(pool: KeyPool, { socket, address }: Greeted, timesMs: Lifetimes): void {
    const connection = this.#connectionOn(socket, pool);
    const life = new TunnelLife({
      pool,
      address,
      deadlines: this.#options.deadlines,
      retired: () => {
        if (connection.isIdle) connection.destroy();
      },
      // The connection's user hears of it as of any peer that is gone.
      cut: () => socket.destroy(),
    });
    life.endWithin(...timesMs);
    this.#lives.add(life);
    this.#members.set(connection, { life, session: undefined, lines: undefined });
    // What changed in the meantime: a certificate that is replaced serves what waits for it, once.
    const wait = first(pool.waiting);
    if (wait === undefined) this.keepIdle(connection, unusedTunnelMs);
    else wait.opened(connection, false);
  }

  /** A tunnel whose lanes carry one request each at a time. */
  #beginSession(pool: KeyPool, { socket, address }: Greeted): TunnelLife<KeyPool> {
    const session: LaneSession<KeyPool> = new LaneSession<KeyPool>({
      shared: this.#shared,
      pool,
      address,
      socket,
      changed: () => {
        if (session.isLeaving) this.#dropIdle(session);
        this.#dispatch(pool);
      },
      closed: () => {
        pool.sessions.delete(session);
        this.#closed(session.life);
      },
    });
    this.#lives.add(session.life);
    pool.sessions.add(session);
    return session.life;
  }

  #openLane(pool: KeyPool): UpstreamConnection | undefined {
    const session = freeSession(pool);
    const lane = session?.open();
    if (session === undefined || lane === undefined) return undefined;
    const connection = this.#connectionOn(lane, pool);
    this.#members.set(connection, { life: session.life, session, lines: undefined });
    return connection;
  }

  #connectionOn(socket: NetworkSocket, pool: KeyPool): UpstreamConnection {
    const { limits, buffers, clock } = this.#options;
    return new UpstreamConnection({
      socket,
      endpointId: pool.name,
      limits,
      buffers,
      clock,
      owner: this,
      isConnected: true,
    });
  }

  /** Nothing new begins on a session that leaves: its idle lanes go, and with the last one it. */
  #dropIdle(session: LaneSession<KeyPool>): void {
    for (const connection of [...session.life.pool.idle]) {
      if (this.#members.get(connection)?.session === session) connection.destroy();
    }
  }

  /** A tunnel is gone. */
  #closed(life: TunnelLife<KeyPool>): void {
    const { pool } = life;
    this.#lives.delete(life);
    life.end();
    this.#options.closed();
    pool.open -= 1;
    this.#dispatch(pool);
    this.#forgetEmpty(pool);
  }

  /** Who waits goes on waiting as long as anything is left that could serve him. */
  #dialFailed(pool: KeyPool, turn: number, { result, message }: DialFailure): void {
    this.#options.dialled(pool.node, result, message);
    if (turn === pool.turn && !pool.redial.isArmed) this.#turn(pool);
    this.#dispatch(pool);
    if (pool.open > 0 || pool.dials.size > 0) return;
    this.#failAll(pool, `${result}: ${message}`);
    this.#forgetEmpty(pool);
  }

  /** On to the next address; after the last one there is a rest. */
  #turn(pool: KeyPool): void {
    const { deadlines, peers, random } = this.#options;
    pool.turn += 1;
    if (pool.turn < (peers()?.dial.get(pool.node)?.length ?? 0)) return;
    pool.turn = 0;
    deadlines.arm(pool.redial, backoffMs(pool.failures, rest, random));
    pool.failures += 1;
  }

  #failAll(pool: KeyPool, detail: string): void {
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

/** Until it takes no more requests, and until it is cut. */
type Lifetimes = readonly [retireMs: number, cutMs: number];

type Greeted = {
  readonly socket: SecureSocket;
  readonly peer: PeerIdentity;
  readonly address: string;
  readonly credential: UsableCredential;
  readonly turn: number;
};

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const one of set) return one;
  return undefined;
}
