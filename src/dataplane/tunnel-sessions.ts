// Sessions to other nodes' proxies that carry TCP connections, by (identity of the caller, node):
// identities never share one. A connection takes a free place on a session that is open; where
// there is none one is dialled, and the connection waits for it, in bounded time. A new TCP
// connection so costs no handshake. Sessions are replaced in order when certificate, bundle or peer
// are; what is on an old one lives on there.
// Invariant: whoever waits is told once, by a session or a failure, or leaves by itself.
import { backoffMs } from '../lib/backoff.ts';
import type { PeerPart } from '../snapshot/index.ts';
import type { Credentials, CredentialChange, UsableCredential } from './credentials.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import type { HeaderField } from './http2/hpack-table.ts';
import { rootGoneMs, rootSpreadMs, upstreamIdleMs } from './limits.ts';
import { TunnelDial } from './tunnel-dial.ts';
import type { DialFailure, DialOptions } from './tunnel-dial.ts';
import { lifeLeftMs, TunnelLife } from './tunnel-life.ts';
import type { TunnelIdentities, TunnelKey } from './tunnel-key.ts';
import { noTunnel } from './tunnel-refusal.ts';
import type { RefusedThere } from './tunnel-refusal.ts';
import { TunnelSession } from './tunnel-session.ts';
import { TunnelStream } from './tunnel-stream.ts';

const use = 'flows';
/** After all addresses of a node have failed, with jitter. */
const rest = { baseMs: 25, maxMs: 500 } as const;
/** A pod's first connections may come before its certificate does (contract §3). */
const identityWaitMs = 2_000;
/** Replaced sessions stop taking connections within this time, not all at once. */
const replaceSpreadMs = 10_000;

const unavailable: RefusedThere = { reason: 'TunnelUnavailable', failure: noTunnel };
const pending: RefusedThere = {
  reason: 'IdentityPending',
  // Another endpoint would need the same certificate.
  failure: { kind: 'status', status: 503, isUnsent: true },
};

export type TunnelSessionsOptions = {
  readonly engine: Engine;
  readonly credentials: Pick<Credentials, 'of' | 'own'>;
  readonly identities: TunnelIdentities;
  readonly peers: () => PeerPart | undefined;
  readonly localAddress: string | undefined;
};

type Waiting = {
  readonly stream: TunnelStream;
  readonly head: readonly HeaderField[];
  /** Time is up: for the certificate, or because nobody can be dialled. */
  readonly deadline: Deadline;
};

/** What is known of one key. */
type Pool = TunnelKey & {
  readonly lives: Map<TunnelSession<TunnelStream>, TunnelLife<Pool>>;
  readonly waiting: Set<Waiting>;
  /** One at a time: all who wait fit on one session. */
  dial: TunnelDial | undefined;
  turn: number;
  failures: number;
  readonly redial: Deadline;
};

export class TunnelSessions {
  readonly #options: TunnelSessionsOptions;
  readonly #pools = new Map<string, Pool>();
  #isClosed = false;

  constructor(options: TunnelSessionsOptions) {
    this.#options = options;
  }

  get trustDomain(): string {
    return this.#options.identities.trustDomain;
  }

  get openCount(): number {
    let sum = 0;
    for (const { lives } of this.#pools.values()) sum += lives.size;
    return sum;
  }

  get waitingCount(): number {
    let sum = 0;
    for (const { waiting } of this.#pools.values()) sum += waiting.size;
    return sum;
  }

  /** A connection, on its way; it tells `connect` when the other proxy has opened it. */
  open(key: TunnelKey, head: readonly HeaderField[]): TunnelStream {
    const { engine } = this.#options;
    const stream = new TunnelStream(engine.counts);
    const pool = this.#poolOf(key);
    const one: Waiting = { stream, head, deadline: new Deadline(() => this.#expired(pool, one)) };
    stream.await(() => this.#leave(pool, one));
    pool.waiting.add(one);
    if (this.#credential(key) === undefined) engine.deadlines.arm(one.deadline, identityWaitMs);
    this.#dispatch(pool);
    return stream;
  }

  /** Certificates or roots are others now. */
  credentialsChanged(change: CredentialChange): void {
    const { random } = this.#options.engine;
    for (const pool of [...this.#pools.values()]) {
      const isReplaced = pool.id === undefined
        ? change.isOwnReplaced
        : change.replaced.has(pool.id);
      const credential = this.#credential(pool);
      for (const life of [...pool.lives.values()]) {
        if (change.isRootGone) life.endWithin(rootSpreadMs * random(), rootGoneMs);
        else if (credential === undefined) life.retireIn(0);
        else if (isReplaced) life.retireIn(replaceSpreadMs * random());
      }
      if (credential === undefined) continue;
      for (const { deadline } of pool.waiting) this.#options.engine.deadlines.disarm(deadline);
      this.#beginAnew(pool);
    }
  }

  /** Proxies have come or gone: sessions with another one than the best are replaced. */
  peersChanged(): void {
    const peers = this.#options.peers();
    for (const pool of [...this.#pools.values()]) {
      this.#beginAnew(pool);
      const best = peers?.dial.get(pool.node)?.[0];
      for (const life of [...pool.lives.values()]) {
        if (best !== undefined && best !== life.address) life.retireIn(0);
      }
    }
  }

  /** Ends what carries nothing. */
  closeIdle(): void {
    for (const { lives } of this.#pools.values()) {
      for (const session of [...lives.keys()]) session.closeIfIdle();
    }
  }

  /** Cuts everything. */
  close(): void {
    this.#isClosed = true;
    for (const pool of [...this.#pools.values()]) {
      this.#options.engine.deadlines.disarm(pool.redial);
      pool.dial?.cancel();
      pool.dial = undefined;
      for (const one of [...pool.waiting]) this.#fail(pool, one, unavailable);
      for (const session of [...pool.lives.keys()]) session.destroy();
    }
  }

  // ---- who waits --------------------------------------------------------------------------------

  #leave(pool: Pool, one: Waiting): void {
    pool.waiting.delete(one);
    this.#options.engine.deadlines.disarm(one.deadline);
    this.#forgetEmpty(pool);
  }

  #fail(pool: Pool, one: Waiting, why: RefusedThere): void {
    this.#leave(pool, one);
    one.stream.fail(why);
  }

  #expired(pool: Pool, one: Waiting): void {
    this.#fail(pool, one, this.#credential(pool) === undefined ? pending : unavailable);
  }

  /** Places for all who wait, or a dial. */
  #dispatch(pool: Pool): void {
    if (this.#isClosed) return;
    for (const one of [...pool.waiting]) {
      const session = freeSession(pool);
      if (session === undefined) break;
      this.#leave(pool, one);
      if (!session.open(one.stream, one.head)) one.stream.fail(unavailable);
    }
    if (pool.waiting.size > 0) this.#dial(pool);
  }

  // ---- dialling ---------------------------------------------------------------------------------

  #credential({ id }: TunnelKey): UsableCredential | undefined {
    const { credentials } = this.#options;
    return id === undefined ? credentials.own(use) : credentials.of(id, use);
  }

  #dial(pool: Pool): void {
    const { engine, identities, peers, localAddress } = this.#options;
    const credential = this.#credential(pool);
    // A session that was greeted gives places as soon as its peer has said how many.
    const isComing = [...pool.lives.keys()].some((one) => !one.isLeaving && one.isNew);
    if (credential === undefined || pool.dial !== undefined || pool.redial.isArmed) return;
    if (isComing) return;
    const addresses = peers()?.dial.get(pool.node) ?? [];
    const address = addresses[pool.turn % Math.max(1, addresses.length)];
    if (address === undefined) {
      // Told in another turn: who waits has only just begun to.
      for (const { deadline } of pool.waiting) engine.deadlines.arm(deadline, 0);
      return;
    }
    const dialOptions: DialOptions = {
      ...identities,
      deadlines: engine.deadlines,
      nowMs: () => engine.clock.wallMs(),
      context: credential.context,
      use,
      address,
      localAddress,
      node: pool.node,
      greeted: (socket, peer) => {
        pool.dial = undefined;
        const notAfterMs = Math.min(credential.notAfterMs, peer.notAfterMs);
        this.#greeted(pool, { socket, address, notAfterMs });
      },
      failed: (failure) => {
        pool.dial = undefined;
        this.#dialFailed(pool, addresses.length, failure);
      },
    };
    pool.dial = new TunnelDial(dialOptions);
  }

  #greeted(pool: Pool, { socket, address, notAfterMs }: Greeted): void {
    const { engine } = this.#options;
    const { clock, deadlines, random, observer } = engine;
    observer.tunnelHandshake({ side: 'client', peer: pool.node, result: 'ok', message: '' });
    observer.tunnelOpened('client');
    pool.turn = 0;
    pool.failures = 0;
    const idle = new Deadline(() => session.closeIfIdle());
    const session: TunnelSession<TunnelStream> = new TunnelSession<TunnelStream>({
      role: 'client',
      engine,
      socket,
      make: () => new TunnelStream(engine.counts),
      arrived: (stream) => stream.destroy(),
      changed: () => {
        if (session.streamCount > 0) deadlines.disarm(idle);
        else deadlines.arm(idle, upstreamIdleMs);
        this.#dispatch(pool);
      },
      closed: () => {
        deadlines.disarm(idle);
        pool.lives.get(session)?.end();
        pool.lives.delete(session);
        observer.tunnelClosed('client');
        this.#dispatch(pool);
        this.#forgetEmpty(pool);
      },
    });
    const life = new TunnelLife<Pool>({
      pool,
      address,
      deadlines,
      retired: () => session.leave(),
      cut: () => session.destroy(),
    });
    const leftMs = notAfterMs - clock.wallMs();
    pool.lives.set(session, life);
    deadlines.arm(idle, upstreamIdleMs);
    life.endWithin(lifeLeftMs(notAfterMs, clock.wallMs(), random()), Math.max(0, leftMs));
    this.#dispatch(pool);
  }

  /** On to the next address; after the last one those who wait are told, and there is a rest. */
  #dialFailed(pool: Pool, addressCount: number, { result, message }: DialFailure): void {
    const { deadlines, observer, random } = this.#options.engine;
    observer.tunnelHandshake({ side: 'client', peer: pool.node, result, message });
    pool.turn += 1;
    if (pool.turn < addressCount) {
      this.#dispatch(pool);
      return;
    }
    pool.turn = 0;
    deadlines.arm(pool.redial, backoffMs(pool.failures, rest, random));
    pool.failures += 1;
    for (const one of [...pool.waiting]) this.#fail(pool, one, unavailable);
  }

  // ---- pools ------------------------------------------------------------------------------------

  #poolOf(key: TunnelKey): Pool {
    const name = nameOf(key);
    const known = this.#pools.get(name);
    if (known !== undefined) return known;
    const pool: Pool = {
      ...key,
      lives: new Map(),
      waiting: new Set(),
      dial: undefined,
      turn: 0,
      failures: 0,
      redial: new Deadline(() => {
        this.#dispatch(pool);
        this.#forgetEmpty(pool);
      }),
    };
    this.#pools.set(name, pool);
    return pool;
  }

  /** What has failed before may succeed now. */
  #beginAnew(pool: Pool): void {
    pool.turn = 0;
    pool.failures = 0;
    this.#options.engine.deadlines.disarm(pool.redial);
    this.#dispatch(pool);
    this.#forgetEmpty(pool);
  }

  #forgetEmpty(pool: Pool): void {
    const isEmpty = pool.lives.size === 0 && pool.waiting.size === 0 && pool.dial === undefined;
    if (isEmpty && !pool.redial.isArmed) this.#pools.delete(nameOf(pool));
  }
}

type Greeted = {
  readonly socket: Parameters<DialOptions['greeted']>[0];
  readonly address: string;
  readonly notAfterMs: number;
};

function freeSession({ lives }: Pool): TunnelSession<TunnelStream> | undefined {
  for (const session of lives.keys()) if (session.canOpen) return session;
  return undefined;
}

/** No SPIFFE id and no node's name holds a space. */
function nameOf({ id, node }: TunnelKey): string {
  return `${id ?? ''} ${node}`;
}
