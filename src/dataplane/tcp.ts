// The TCP connections of a worker: all that are open, what becomes of them under a new table, and
// the now and then at which their bytes are told. What happens on one is tcp-flow.ts; clients'
// are accepted in listener.ts, other nodes' come as streams of a tunnel.
import { formatSpiffeId } from '../identity/index.ts';
import type { Network, NetworkSocket } from '../lib/network.ts';
import { decideFlow } from '../route/index.ts';
import type { FlowDestination, RouteTable } from '../route/index.ts';
import type { ArrivedFrom } from './arrived-plan.ts';
import { ConnectionList } from './connection-list.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import { TcpFlow } from './tcp-flow.ts';
import type { DialledTcp, TcpCall } from './tcp-flow.ts';
import type { TcpMeter, TcpObserver } from './tcp-observer.ts';
import { arrivedPlan, clientPlan } from './tcp-plan.ts';
import type { TcpPlan } from './tcp-plan.ts';
import { readTunnelFields, tunnelCallHead } from './tunnel-fields.ts';
import { noTunnel } from './tunnel-refusal.ts';
import type { RefusedThere } from './tunnel-refusal.ts';
import { fieldsOf } from './tunnel-stream.ts';
import type { TunnelStream } from './tunnel-stream.ts';

/** How often the bytes of connections that live on are told: metrics are read no more often. */
const tellMs = 1_000;

export type TcpServicesOptions = {
  readonly engine: Engine;
  readonly observer: TcpObserver;
  readonly network: Pick<Network, 'connect'>;
  readonly localAddress: string | undefined;
  /** One that has come by tunnel counts as a connection of its own. */
  readonly entered: () => void;
  /** One that was accepted, or had entered, is closed. */
  readonly closed: () => void;
};

export type AcceptedTcp = {
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly to: FlowDestination;
};

export type ArrivedTcp = {
  readonly from: ArrivedFrom;
  /** Of the other proxy. */
  readonly remoteAddress: string;
  readonly stream: TunnelStream;
  readonly head: readonly DecodedField[];
};

/** The session broke before the other proxy had said a word. */
const lostTunnel: RefusedThere = { reason: 'TunnelUnavailable', failure: noTunnel };

const noop = (): void => undefined;
const silentMeter: TcpMeter = { moved: noop, closed: noop };

export class TcpServices {
  readonly #options: TcpServicesOptions;
  readonly #flows = new ConnectionList<TcpFlow>();
  readonly #telling: Deadline;
  readonly #arrivedObserver: TcpObserver;
  #table: RouteTable | undefined;

  constructor(options: TcpServicesOptions) {
    this.#options = options;
    this.#telling = new Deadline(() => this.#tellMoved());
    // Connections are counted by the caller's proxy alone; policy where it is decided.
    this.#arrivedObserver = {
      ...options.observer,
      tcpOpened: () => silentMeter,
      tcpRetried: noop,
      tcpBudgetExhausted: noop,
      tcpWentPlain: noop,
      tcpEnded: noop,
    };
  }

  get size(): number {
    return this.#flows.size;
  }

  /** A client's connection, whose source is not waited for any more. */
  enter({ socket, remoteAddress, to }: AcceptedTcp): void {
    const { engine, observer, closed } = this.#options;
    if (engine.table === undefined) {
      socket.resetAndDestroy();
      closed();
      return;
    }
    const plan = clientPlan(engine.table, remoteAddress, to);
    this.#start(plan, { socket, observer, opened: noop, refused: noop });
  }

  /** A connection of another node, as its proxy asks for it. */
  arrive({ from, remoteAddress, stream, head }: ArrivedTcp): void {
    const { engine, entered } = this.#options;
    const fields = readTunnelFields(fieldsOf(head));
    if (head[0]?.value !== 'CONNECT') stream.refuse('BadRequestUnsupported');
    else if (fields === undefined) stream.refuse('BadRequestSyntax');
    else if (engine.table === undefined) stream.refuse('PodNotHere');
    else if (from.arrivals.find(engine.table, fields.target) === undefined) {
      stream.refuse('PodNotHere');
    } else if (engine.counts.connections >= engine.limits.connectionsMax) {
      stream.refuse('Shedding');
    } else {
      entered();
      this.#start(arrivedPlan(from, remoteAddress, fields), {
        socket: stream,
        observer: this.#arrivedObserver,
        opened: () => stream.accept(),
        refused: (reason) => stream.refuse(reason),
      });
    }
  }

  /** `reassigned`: addresses of this node that another pod has now. */
  tableChanged(table: RouteTable, reassigned: ReadonlySet<string>): void {
    const isSamePolicy = this.#table !== undefined && hasSamePolicy(this.#table, table);
    this.#table = table;
    if (this.#flows.size === 0) return;
    const stopped = new Map<FlowDestination, boolean>();
    const cut: TcpFlow[] = [];
    this.#flows.forEach((flow) => {
      // What the old pod opened, or took, is not the new one's.
      const isReassigned = reassigned.has(flow.remoteAddress)
        || (flow.endpoint !== undefined && reassigned.has(flow.endpoint.address));
      if (isReassigned) flow.cut(undefined);
      else if (flow.isRoutedHere && isStopped(table, flow.to, stopped)) cut.push(flow);
      else if (!isSamePolicy) flow.recheck(table);
    });
    // A reset takes the kernel some 20 µs: all clients know before the first pod does.
    for (const flow of cut) flow.resetClient();
    for (const flow of cut) flow.cut('Stopped');
  }

  /** Cuts everything. */
  close(): void {
    this.#flows.forEach((flow) => flow.cut(undefined));
  }

  #start(plan: TcpPlan, how: Started): void {
    const { engine, closed } = this.#options;
    const flow = new TcpFlow({
      ...how,
      engine,
      plan,
      dial: (call) => this.#dial(call),
      closed: (ended) => {
        this.#flows.remove(ended);
        if (this.#flows.size === 0) engine.deadlines.disarm(this.#telling);
        closed();
      },
    });
    if (this.#flows.size === 0) engine.deadlines.arm(this.#telling, tellMs);
    this.#flows.add(flow);
    flow.start();
  }

  /** What is due a tunnel never goes plain. */
  #dial(call: TcpCall): DialledTcp | undefined {
    const { engine, network, localAddress } = this.#options;
    const { endpoint, hop, ticket } = call;
    if (hop.way === 'tunnel') return this.#dialTunnel(call);
    const { address, port, id } = endpoint;
    const socket = network.connect({ address, port, localAddress });
    engine.opened.count(socket, id, ticket);
    return { socket, failure: () => undefined };
  }

  #dialTunnel({ source, backend, endpoint, hop }: TcpCall): DialledTcp | undefined {
    const { tunnelSessions } = this.#options.engine;
    if (tunnelSessions === undefined || hop.node === undefined) return undefined;
    const isAuthenticated = source.kind === 'workload';
    const { trustDomain } = tunnelSessions;
    const id = isAuthenticated ? formatSpiffeId({ trustDomain, ...source }) : undefined;
    if (isAuthenticated && id === undefined) return undefined;
    const head = tunnelCallHead({ backend, endpoint, isAuthenticated });
    const socket = tunnelSessions.open({ id, node: hop.node }, head);
    return { socket, failure: () => socket.failure ?? lostTunnel };
  }

  #tellMoved(): void {
    this.#flows.forEach((flow) => flow.tellMoved());
    if (this.#flows.size > 0) this.#options.engine.deadlines.arm(this.#telling, tellMs);
  }
}

type Started = Pick<
  ConstructorParameters<typeof TcpFlow>[0],
  'socket' | 'observer' | 'opened' | 'refused'
>;

/** Nothing has changed that a verdict depends on: endpoints alone change all the time. */
function hasSamePolicy(before: RouteTable, now: RouteTable): boolean {
  return before.permissions === now.permissions
    && before.policies === now.policies
    && before.node === now.node;
}

/** Listeners are few where connections are many. */
function isStopped(
  table: RouteTable,
  to: FlowDestination,
  known: Map<FlowDestination, boolean>,
): boolean {
  const before = known.get(to);
  if (before !== undefined) return before;
  const decision = decideFlow(table, to);
  const isNow = decision.kind === 'refuse' && decision.reason === 'Stopped';
  known.set(to, isNow);
  return isNow;
}
