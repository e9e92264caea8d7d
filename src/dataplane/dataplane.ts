// A worker's data plane: made once, given one table after the other, drained, closed. It holds
// what all connections share and counts them; what happens on a connection is downstream.ts, what
// happens to a request is exchange.ts. Traffic never waits for anything here.
import { normaliseAddress } from '../lib/address.ts';
import type { Clock, Runtime } from '../lib/clock.ts';
import type { Network, NetworkSocket, SecureNetwork } from '../lib/network.ts';
import { listenersOf } from '../route/index.ts';
import type { RouteTable } from '../route/index.ts';
import type { FlowListenerSpec, ListenerSpec } from '../snapshot/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import { renderFinalRefusal } from './http1-answer.ts';
import { AddressOwners } from './address-owners.ts';
import { ArrivedLanes } from './arrived-lanes.ts';
import { ConnectionList } from './connection-list.ts';
import type { IdentityUpdate } from './credentials.ts';
import { Deadlines, fineTickMs } from './deadlines.ts';
import { DownstreamConnection } from './downstream.ts';
import { drain } from './drain.ts';
import type { DrainOptions } from './drain.ts';
import { EndpointLoads } from './endpoint-load.ts';
import type { Counts, Engine, IdMakers } from './engine.ts';
import type { DataplaneLimits } from './limits.ts';
import { FrameBuffers } from './http2/frame-writer.ts';
import { defaultSessionLimits } from './http2/limits.ts';
import { Listeners } from './listener.ts';
import type { ListenerState } from './listener.ts';
import { Mirrors } from './mirrors.ts';
import type { MirrorState } from './mirrors.ts';
import { copyParts } from './mirror-engine.ts';
import type { CopyParts } from './mirror-engine.ts';
import type { ExchangeObserver } from './observer.ts';
import { OpenConnections } from './open-connections.ts';
import { closePodPools, countConnections, openPodPools } from './pod-pools.ts';
import { BodyBuffers } from './read-buffers.ts';
import { RetryBudgets } from './retries.ts';
import { reasonStatus } from './refusals.ts';
import { SourceGate } from './source-gate.ts';
import type { NewConnection } from './source-gate.ts';
import { TcpServices } from './tcp.ts';
import type { TcpObserver } from './tcp-observer.ts';
import { openGate } from './traffic-gate.ts';
import type { TunnelLane } from './tunnel-lane.ts';
import { TunnelSession } from './tunnel-session.ts';
import { TunnelStream } from './tunnel-stream.ts';
import { TrustedSources } from './trusted-sources.ts';
import type { ArrivedConnection, ArrivedPart, ArrivedSocket } from './tunnel-listener.ts';
import { Tunnels } from './tunnels.ts';
import type { TunnelOptions, TunnelState } from './tunnels.ts';
import { TurnEnd } from './turn-end.ts';
import { TurnClock } from './turn-clock.ts';
import { UdpServices } from './udp.ts';
import type { UdpOptions, UdpState } from './udp.ts';

export type DataplaneOptions = {
  readonly runtime: Runtime;
  readonly network: Network;
  /** For pods that serve HTTPS; undefined: there are none. */
  readonly secure?: Pick<SecureNetwork, 'toPods'> | undefined;
  readonly ids: IdMakers;
  readonly slots: SlotView;
  readonly limits: DataplaneLimits;
  readonly bindAddresses: readonly string[];
  /** Local address of upstream connections; undefined = the system's choice. */
  readonly localAddress: string | undefined;
  /** A private listening descriptor beside those of other workers. */
  readonly reusePort: boolean;
  /** `namespace/serviceaccount` or CIDR. */
  readonly trustedSources: readonly string[];
  readonly observer: ExchangeObserver;
  /** Undefined: tunnels are neither accepted nor dialled. */
  readonly tunnels?: TunnelOptions | undefined;
  /** Undefined: datagrams are not served. */
  readonly udp?: UdpOptions | undefined;
  /** Who is told of TCP connections; undefined: none are accepted. */
  readonly tcp?: TcpObserver | undefined;
  /** For tests: a read buffer that nobody may hold bytes of any more. */
  readonly bufferReturned?: (buffer: Buffer) => void;
  readonly events: DataplaneEvents;
};

export type DataplaneEvents = {
  /** A listener has opened or failed; `state` tells which. */
  readonly listenersChanged: () => void;
};

export type DataplaneState = Readonly<Counts> & {
  readonly listeners: readonly ListenerState[];
  readonly upstreamOpen: number;
  readonly upstreamIdle: number;
  readonly deadlines: number;
  /** Long bodies that own a read buffer. */
  readonly bodyBuffers: number;
  /** Connections whose pod is not told yet. */
  readonly waitingSources: number;
  /** TCP connections that are passed on; they are among `connections`. */
  readonly tcpConnections: number;
  readonly isDraining: boolean;
  readonly tunnels: TunnelState | undefined;
  readonly udp: UdpState | undefined;
  readonly mirrors: MirrorState;
};

export type Dataplane = {
  /** Puts the table in force for every request that comes from now on; listeners follow it. */
  readonly publish: (table: RouteTable) => void;
  /** Certificates of this node's workloads and the roots in force. */
  readonly identify: (update: IdentityUpdate) => void;
  /** Which UDP ports this worker serves: none before it is told. */
  readonly ownUdp: (owns: (targetPort: number) => boolean) => void;
  /** Resolves when nothing is in flight after the delay, or at the timeout. */
  readonly drain: (options: DrainOptions) => Promise<void>;
  /** Cuts everything; nothing of it is alive afterwards. Idempotent. */
  readonly close: () => void;
  readonly state: () => DataplaneState;
};

/** Starts a data plane without listeners; the first table opens them. */
export function startDataplane(options: DataplaneOptions): Dataplane {
  const running = new RunningDataplane(options);
  return {
    publish: (table) => running.publish(table),
    identify: (update) => running.identify(update),
    ownUdp: (owns) => running.ownUdp(owns),
    drain: (drainOptions) => running.drain(drainOptions),
    close: () => running.close(),
    state: () => running.state(),
  };
}

/** Each request of a tunnel names its own. */
const noServicePort = 0;

class RunningDataplane {
  readonly #engine: Engine;
  readonly #listeners: Listeners;
  readonly #tunnels: Tunnels | undefined;
  readonly #mirrors: Mirrors;
  readonly #udp: UdpServices | undefined;
  readonly #tcp: TcpServices | undefined;
  /** Of other proxies; what they carry is among the TCP connections. */
  readonly #sessions = new Set<ArrivedConnection>();
  readonly #owners = new AddressOwners();
  readonly #gate: SourceGate;
  readonly #connections = new ConnectionList<DownstreamConnection>();
  /** Drained: the next table opens nothing again. */
  #hasLeft = false;

  /** One for all connections. */
  readonly #closed = (connection: DownstreamConnection): void => {
    this.#connections.remove(connection);
    this.#leftOne();
  };

  constructor(options: DataplaneOptions) {
    const { runtime, observer, limits, network, localAddress, slots } = options;
    const clock = new TurnClock(runtime.clock);
    const deadlines = new Deadlines(clock, runtime.timers);
    const buffers = new BodyBuffers(options.bufferReturned);
    const { bugFound } = observer;
    const sessions = sharedBySessions(limits, bugFound);
    const opened = new OpenConnections(slots, (id) => this.#engine.gate.connectionFreed(id));
    const { secure } = options;
    const shared = { network, secure, localAddress, deadlines, buffers, clock, opened, bugFound };
    const toPods = openPodPools({ ...shared, ...sessions, limits });
    const toMirrors = openPodPools({ ...shared, ...sessions, limits });
    const own = [toPods, toMirrors].flatMap((all) => Object.values(all));
    this.#engine = {
      clock,
      random: runtime.random,
      deadlines,
      fineDeadlines: new Deadlines(clock, runtime.timers, fineTickMs),
      slots,
      loads: new EndpointLoads(slots, clock),
      budgets: new RetryBudgets(slots, clock),
      gate: openGate({ ...runtime, slots, clock, own, observer }),
      limits,
      headLimits: limits,
      trusted: new TrustedSources(options.trustedSources),
      observer,
      ids: options.ids,
      ...toPods,
      opened,
      tunnels: undefined,
      tunnelSessions: undefined,
      mirrors: undefined,
      copies: undefined,
      carriesCopies: false,
      answersTunnels: false,
      buffers,
      ...sessions,
      counts: { connections: 0, exchanges: 0, lingering: 0, bufferedBytes: 0 },
      httpDate: httpDates(clock),
      table: undefined,
      isDraining: false,
    };
    this.#listeners = new Listeners({
      network,
      deadlines,
      bindAddresses: options.bindAddresses,
      reusePort: options.reusePort,
      accepted: (socket, listener) => this.#accept(socket, listener),
      changed: options.events.listenersChanged,
    });
    this.#gate = new SourceGate({
      deadlines,
      table: () => this.#engine.table,
      enter: (connection) => this.#enter(connection),
    });
    const ofCopies = copyParts(toMirrors, this.#engine);
    // A drain cuts the connections of copies that are made here, not of those that arrive.
    this.#tunnels = this.#startTunnels(options, { ...ofCopies, ...toPods });
    this.#mirrors = this.#startMirrors(ofCopies);
    this.#udp = options.udp && new UdpServices({
      ...options.udp,
      engine: this.#engine,
      bindAddresses: options.bindAddresses,
      changed: options.events.listenersChanged,
    });
    this.#tcp = this.#startTcp(options);
  }

  publish(table: RouteTable): void {
    this.#engine.table = table;
    this.#tunnels?.tableChanged();
    this.#mirrors.tableChanged(table);
    if (!this.#hasLeft) this.#listeners.follow(streamListeners(table, this.#tcp));
    const reassigned = this.#owners.take(table.node);
    this.#connections.forEach((connection) => {
      // What the old pod opened is not the new one's.
      if (reassigned.has(connection.remoteAddress)) connection.destroy();
      else connection.recheck(table);
    });
    // Also while the proxy leaves: flows stick to it until its process ends (architecture §3).
    this.#udp?.tableChanged(table, udpListeners(table), reassigned);
    this.#tcp?.tableChanged(table, reassigned);
    // Who waits for this word is no connection of an old pod.
    this.#gate.tableChanged(table);
  }

  identify(update: IdentityUpdate): void {
    this.#tunnels?.identify(update);
  }

  ownUdp(owns: (targetPort: number) => boolean): void {
    this.#udp?.own(owns);
  }

  drain(options: DrainOptions): Promise<void> {
    this.#engine.isDraining = true;
    this.#mirrors.close();
    this.#connections.forEach((connection) => connection.drainBegan());
    return drain(this.#engine.deadlines, options, {
      inFlight: () => this.#connections.size + this.#gate.size + (this.#tcp?.size ?? 0),
      closeIdleConnections: () => this.#connections.forEach((one) => one.closeIfIdle()),
      stopAccepting: () => {
        for (const session of [...this.#sessions]) session.leave();
        this.#hasLeft = true;
        this.#listeners.close();
        this.#tunnels?.stopAccepting();
      },
    });
  }

  close(): void {
    this.#listeners.close();
    this.#tunnels?.close();
    this.#udp?.close();
    this.#gate.close();
    this.#mirrors.close();
    this.#connections.forEach((connection) => connection.destroy());
    this.#tcp?.close();
    for (const session of [...this.#sessions]) session.destroy();
    closePodPools(this.#engine);
    this.#engine.gate.close();
    this.#engine.deadlines.close();
    this.#engine.fineDeadlines.close();
  }

  state(): DataplaneState {
    const { counts, buffers, isDraining } = this.#engine;
    const { deadlines, fineDeadlines } = this.#engine;
    const toPods = countConnections(this.#engine);
    return {
      ...counts,
      listeners: this.#listeners.states(),
      upstreamOpen: toPods.open,
      upstreamIdle: toPods.idle,
      deadlines: deadlines.armed + fineDeadlines.armed,
      bodyBuffers: buffers.owners,
      waitingSources: this.#gate.size,
      tcpConnections: this.#tcp?.size ?? 0,
      isDraining,
      tunnels: this.#tunnels?.state(),
      udp: this.#udp?.state(),
      mirrors: this.#mirrors.state(),
    };
  }

  #startTcp({ tcp, network, localAddress }: DataplaneOptions): TcpServices | undefined {
    return tcp && new TcpServices({
      engine: this.#engine,
      observer: tcp,
      network,
      localAddress,
      entered: () => this.#enteredOne(),
      closed: () => this.#leftOne(),
    });
  }

  #startMirrors(parts: CopyParts): Mirrors {
    const engine = this.#engine;
    const mirrors = new Mirrors({ engine, parts, tunnels: this.#tunnels?.mirrorPools });
    this.#engine.mirrors = mirrors;
    return mirrors;
  }

  #startTunnels(options: DataplaneOptions, ofCopies: Partial<Engine>): Tunnels | undefined {
    const { tunnels, bindAddresses, localAddress, reusePort, events } = options;
    if (tunnels === undefined) return undefined;
    const started: Tunnels = new Tunnels({
      ...tunnels,
      engine: this.#engine,
      ofCopies,
      localAddress,
      bindAddresses,
      reusePort,
      connect: (made) => {
        switch (made.protocol) {
          case 'weft-h1/1':
            return this.#arrive(made.socket, made);
          case 'weft-h1/2':
            return this.#arriveLanes(made);
          case 'weft-h2/1':
            return this.#arriveSession(made);
        }
      },
      changed: events.listenersChanged,
    });
    this.#engine.tunnels = started.pools;
    this.#engine.tunnelSessions = started.sessions;
    return started;
  }

  /** A connection of another proxy, authenticated, or one lane of it. */
  #arrive(socket: NetworkSocket, made: ArrivedPart): DownstreamConnection {
    const { engine, remoteAddress, arrived, closed } = made;
    const connection: DownstreamConnection = new DownstreamConnection({
      engine,
      socket,
      remoteAddress,
      servicePort: noServicePort,
      arrived,
      closed: () => {
        this.#closed(connection);
        closed();
      },
    });
    this.#enteredOne();
    this.#connections.add(connection);
    return connection;
  }

  /** A connection of another proxy that carries many of HTTP/1.1. */
  #arriveLanes(made: ArrivedSocket): ArrivedConnection {
    this.#enteredOne();
    const closed = (): void => {
      this.#sessions.delete(session);
      this.#leftOne();
      made.closed();
    };
    const enter = (lane: TunnelLane, left: () => void): DownstreamConnection => {
      return this.#arrive(lane, { ...made, closed: left });
    };
    const session: ArrivedLanes = new ArrivedLanes({ made: { ...made, closed }, enter });
    this.#sessions.add(session);
    return session;
  }

  /** A connection of another proxy that carries TCP connections. */
  #arriveSession(made: ArrivedSocket): ArrivedConnection {
    const { engine, socket, remoteAddress, arrived, closed } = made;
    this.#enteredOne();
    const session: TunnelSession<TunnelStream> = new TunnelSession<TunnelStream>({
      role: 'server',
      engine,
      socket,
      make: () => new TunnelStream(engine.counts),
      arrived: (stream, head) => {
        const call = { from: arrived.from, remoteAddress, stream, head };
        if (this.#udp?.arrive(call) === true) return;
        if (this.#tcp === undefined) stream.refuse('UnknownService');
        else this.#tcp.arrive(call);
      },
      changed: () => undefined,
      closed: () => {
        this.#sessions.delete(session);
        this.#leftOne();
        closed();
      },
    });
    this.#sessions.add(session);
    return session;
  }

  #accept(socket: NetworkSocket, listener: ListenerSpec): void {
    const { counts, limits } = this.#engine;
    const remoteAddress = normaliseAddress(socket.remoteAddress ?? '');
    // The client was gone before it was accepted.
    if (remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    if (counts.connections + this.#gate.size >= limits.connectionsMax) {
      this.#shed(socket, listener);
      return;
    }
    const connection = { socket, remoteAddress, listener };
    if (!this.#gate.holds(connection)) this.#enter(connection);
  }

  #enter({ socket, remoteAddress, listener }: NewConnection): void {
    const engine = this.#engine;
    this.#enteredOne();
    if (listener.protocol !== 'http') {
      this.#tcp?.enter({ socket, remoteAddress, to: listener });
      return;
    }
    const { servicePort } = listener;
    const closed = this.#closed;
    const opened = { engine, socket, remoteAddress, servicePort, closed };
    this.#connections.add(new DownstreamConnection(opened));
  }

  #enteredOne(): void {
    this.#engine.counts.connections += 1;
    this.#engine.observer.connectionOpened();
  }

  #leftOne(): void {
    this.#engine.counts.connections -= 1;
    this.#engine.observer.connectionClosed();
  }

  /** Says why without reading anything; a client that has sent a lot may see a reset instead. */
  #shed(socket: NetworkSocket, { protocol }: ListenerSpec): void {
    const reason = 'Shedding';
    this.#engine.observer.connectionShed();
    socket.on('error', () => undefined);
    if (protocol !== 'http') {
      socket.resetAndDestroy();
      return;
    }
    const answer = renderFinalRefusal(this.#engine, reason, reasonStatus(reason));
    socket.write(answer, 'latin1');
    socket.destroySoon();
  }
}

function sharedBySessions(limits: DataplaneLimits, bugFound: (error: unknown) => void) {
  const { headBytesMax, fieldsMax, streamsMax } = limits;
  return {
    sessionLimits: {
      ...defaultSessionLimits,
      listBytesMax: headBytesMax,
      fieldsMax,
      streamsMax,
    },
    frameBuffers: new FrameBuffers(),
    turnEnd: new TurnEnd(bugFound),
  };
}

/** Those of HTTP, and of TCP where it is served: connections to the others are refused. */
function streamListeners(
  table: RouteTable,
  tcp: TcpServices | undefined,
): readonly ListenerSpec[] {
  return listenersOf(table).filter(
    ({ protocol }) => protocol === 'http' || (protocol === 'tcp' && tcp !== undefined),
  );
}

function udpListeners(table: RouteTable): readonly FlowListenerSpec[] {
  return listenersOf(table).flatMap((one) => (one.protocol === 'udp' ? [one] : []));
}

/** The Date field changes once a second; so does its text. */
function httpDates(clock: Clock): () => string {
  let second = -1;
  let text = '';
  return () => {
    const now = Math.floor(clock.wallMs() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}
