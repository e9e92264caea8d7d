// Both sides of a worker's tunnels, and what they share: certificates and peers. Made once when the
// worker may have tunnels at all; before the first certificate and the first list of peers it
// neither listens nor dials.
import type { SpiffeId } from '../identity/index.ts';
import type { SecureNetwork } from '../lib/network.ts';
import type { PeerPart } from '../snapshot/index.ts';
import { Credentials } from './credentials.ts';
import type { IdentityUpdate } from './credentials.ts';
import type { Engine } from './engine.ts';
import type { ListenerState } from './listener.ts';
import { arrivedFieldsMore, arrivedHeadBytesMore, arrivedIdleMs } from './limits.ts';
import type { ExchangeObserver } from './observer.ts';
import { TunnelListener } from './tunnel-listener.ts';
import type { ArrivedConnection, ArrivedSocket } from './tunnel-listener.ts';
import { TunnelPools } from './tunnel-pool.ts';
import { TunnelSessions } from './tunnel-sessions.ts';

/** What a worker is told of tunnels; absent: it has none. */
export type TunnelOptions = {
  readonly network: SecureNetwork;
  /** Where tunnels are accepted, here and at every peer. */
  readonly port: number;
  readonly trustDomain: string;
  readonly proxyId: SpiffeId;
  readonly build: string;
  /** For tests: how long an accepted tunnel may be silent. */
  readonly silenceMs?: number | undefined;
};

export type TunnelsOptions = TunnelOptions & {
  readonly engine: Engine;
  /** What copies that arrive do not share with other requests. */
  readonly ofCopies: Partial<Engine>;
  readonly localAddress: string | undefined;
  readonly bindAddresses: readonly string[];
  readonly reusePort: boolean;
  readonly connect: (made: ArrivedSocket) => ArrivedConnection;
  readonly changed: () => void;
};

/** For tests and `inspect`. */
export type TunnelState = {
  readonly dialled: number;
  /** Dialled, for TCP connections. */
  readonly sessions: number;
  readonly accepted: number;
  readonly unauthenticated: number;
  readonly waiting: number;
  readonly listeners: readonly ListenerState[];
};

export class Tunnels {
  readonly pools: TunnelPools;
  readonly sessions: TunnelSessions;
  /** Those that carry copies of requests, which no original waits for. */
  readonly mirrorPools: TunnelPools;
  readonly #credentials: Credentials;
  readonly #listener: TunnelListener;
  readonly #engine: Engine;
  #peers: PeerPart | undefined;

  constructor(options: TunnelsOptions) {
    const { engine, network, port, trustDomain, proxyId } = options;
    const { observer } = engine;
    const peers = (): PeerPart | undefined => engine.table?.peers;
    this.#engine = engine;
    this.#credentials = new Credentials(network, observer.bugFound);
    const carrying = {
      ...engine,
      credentials: this.#credentials,
      identities: { trustDomain, proxyId, port },
      peers,
      limits: longerHeads(engine),
      localAddress: options.localAddress,
      bugFound: observer.bugFound,
      dialled: (peer: string, result: string, message: string) => {
        observer.tunnelHandshake({ side: 'client', peer, result, message });
      },
      opened: () => observer.tunnelOpened('client'),
      closed: () => observer.tunnelClosed('client'),
    };
    this.pools = new TunnelPools(carrying);
    this.mirrorPools = new TunnelPools(carrying);
    this.sessions = new TunnelSessions({
      engine,
      credentials: this.#credentials,
      identities: { trustDomain, proxyId, port },
      peers,
      localAddress: options.localAddress,
    });
    const silenceMs = options.silenceMs ?? arrivedIdleMs;
    const copies = arrivingEngine(engine, silenceMs, options.ofCopies);
    this.#listener = new TunnelListener({
      ...options,
      engine: arrivingEngine(engine, silenceMs, { copies }),
      credentials: this.#credentials,
      peers,
    });
  }

  /** Certificates and roots from the control thread. */
  identify(update: IdentityUpdate): void {
    const change = this.#credentials.apply(update);
    this.#listener.credentialsChanged(change);
    this.pools.credentialsChanged(change);
    this.mirrorPools.credentialsChanged(change);
    this.sessions.credentialsChanged(change);
  }

  /** A table is in force; it may bring other peers. */
  tableChanged(): void {
    this.#listener.tableChanged();
    const peers = this.#engine.table?.peers;
    if (peers === this.#peers) return;
    this.#peers = peers;
    this.#listener.peersChanged();
    this.pools.peersChanged();
    this.mirrorPools.peersChanged();
    this.sessions.peersChanged();
  }

  state(): TunnelState {
    return {
      dialled: this.pools.openCount + this.mirrorPools.openCount,
      sessions: this.sessions.openCount,
      waiting: this.pools.waitingCount + this.mirrorPools.waitingCount + this.sessions.waitingCount,
      accepted: this.#listener.openCount,
      unauthenticated: this.#listener.pendingCount,
      listeners: this.#listener.states(),
    };
  }

  stopAccepting(): void {
    this.#listener.close();
  }

  close(): void {
    this.#listener.close();
    this.pools.close();
    this.mirrorPools.close();
    this.sessions.close();
  }
}

function longerHeads({ headLimits }: Engine): Engine['headLimits'] {
  return {
    ...headLimits,
    headBytesMax: headLimits.headBytesMax + arrivedHeadBytesMore,
    fieldsMax: headLimits.fieldsMax + arrivedFieldsMore,
  };
}

/** The engine of what arrives by tunnel: the same live state, but a proxy for its client. */
function arrivingEngine(engine: Engine, silenceMs: number, own: Partial<Engine>): Engine {
  return {
    ...engine,
    ...own,
    // Silence of a proxy that has proven who it is costs nothing but the connection.
    limits: { ...engine.limits, headTimeoutMs: silenceMs, keepAliveTimeoutMs: silenceMs },
    headLimits: longerHeads(engine),
    answersTunnels: true,
    // Whose caller's proxy has decided on that.
    mirrors: undefined,
    observer: arrivingObserver(engine.observer),
    get table() {
      return engine.table;
    },
    get isDraining() {
      return engine.isDraining;
    },
  };
}

const ignore = (): void => undefined;

/** Exchanges and attempts are counted by the caller's proxy alone; policy where it is decided. */
function arrivingObserver(observer: ExchangeObserver): ExchangeObserver {
  return {
    ...observer,
    exchangeStarted: ignore,
    attemptFinished: ignore,
    retryStarted: ignore,
    retryBudgetExhausted: ignore,
    exchangeFinished: ignore,
  };
}
