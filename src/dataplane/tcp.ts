// The TCP connections of a worker: all that are open, what becomes of them under a new table, and
// the now and then at which their bytes are told. What happens on one is tcp-flow.ts; they are
// accepted in listener.ts.
import type { Network, NetworkSocket } from '../lib/network.ts';
import { decideFlow } from '../route/index.ts';
import type { FlowDestination, RouteTable } from '../route/index.ts';
import { ConnectionList } from './connection-list.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import { TcpFlow } from './tcp-flow.ts';
import type { TcpObserver } from './tcp-observer.ts';

/** How often the bytes of connections that live on are told: metrics are read no more often. */
const tellMs = 1_000;

export type TcpServicesOptions = {
  readonly engine: Engine;
  readonly observer: TcpObserver;
  readonly network: Pick<Network, 'connect'>;
  readonly localAddress: string | undefined;
  /** One that was accepted is closed. */
  readonly closed: () => void;
};

export type AcceptedTcp = {
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly to: FlowDestination;
};

export class TcpServices {
  readonly #options: TcpServicesOptions;
  readonly #flows = new ConnectionList<TcpFlow>();
  readonly #telling: Deadline;
  #table: RouteTable | undefined;

  constructor(options: TcpServicesOptions) {
    this.#options = options;
    this.#telling = new Deadline(() => this.#tellMoved());
  }

  get size(): number {
    return this.#flows.size;
  }

  enter({ socket, remoteAddress, to }: AcceptedTcp): void {
    const { engine, observer, network, localAddress, closed } = this.#options;
    const flow = new TcpFlow({
      engine,
      observer,
      socket,
      remoteAddress,
      to,
      dial: ({ address, port }, hop) => {
        // What is due a tunnel never goes plain; no tunnel carries connections yet.
        if (hop.way === 'tunnel') return undefined;
        return network.connect({ address, port, localAddress });
      },
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

  /** `reassigned`: addresses of this node that another pod has now. */
  tableChanged(table: RouteTable, reassigned: ReadonlySet<string>): void {
    const isSamePolicy = this.#table !== undefined && hasSamePolicy(this.#table, table);
    this.#table = table;
    if (this.#flows.size === 0) return;
    const stopped = new Map<FlowDestination, boolean>();
    this.#flows.forEach((flow) => {
      // What the old pod opened, or took, is not the new one's.
      const isReassigned = reassigned.has(flow.remoteAddress)
        || (flow.endpoint !== undefined && reassigned.has(flow.endpoint.address));
      if (isReassigned) flow.cut(undefined);
      else if (isStopped(table, flow.to, stopped)) flow.cut('Stopped');
      else if (!isSamePolicy) flow.recheck(table);
    });
  }

  /** Cuts everything. */
  close(): void {
    this.#flows.forEach((flow) => flow.cut(undefined));
  }

  #tellMoved(): void {
    this.#flows.forEach((flow) => flow.tellMoved());
    if (this.#flows.size > 0) this.#options.engine.deadlines.arm(this.#telling, tellMs);
  }
}

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
