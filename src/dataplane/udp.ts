// The UDP services of a worker: listeners, flows, and what waits for word of its source. A datagram
// belongs to the flow of its listener and client; one without a flow makes one, if route and policy
// let it, and otherwise leaves nothing behind: what is refused is dropped and counted, each
// datagram anew. An address is all that is known of a source, and UDP proves none: identity is as
// sure as the network that the pods are on.
import { normaliseAddress } from '../lib/address.ts';
import type { DatagramNetwork, DatagramPlace } from '../lib/datagrams.ts';
import { pickBackend, sourceOf, unauthenticated } from '../route/index.ts';
import type { Backend, Endpoint, RouteTable, Source } from '../route/index.ts';
import type { FlowListenerSpec } from '../snapshot/index.ts';
import { noHead } from './endpoint-load.ts';
import type { Engine } from './engine.ts';
import type { ListenerState } from './listener.ts';
import { noneTried } from './retries.ts';
import { UdpFlow } from './udp-flow.ts';
import type { FlowOwner } from './udp-flow.ts';
import { flowKey, FlowTable } from './udp-flows.ts';
import type { FlowLimits, TabledFlow } from './udp-flows.ts';
import { DatagramGate } from './udp-gate.ts';
import type { ArrivedDatagram } from './udp-gate.ts';
import {
  flowAttemptsMax,
  flowIdleMs,
  flowsPerSourceShare,
  leavingMax,
  restingMax,
  udpFlowsMax,
  unacceptedShare,
  unreachableMax,
  unreachableMs,
} from './udp-limits.ts';
import { UdpListeners } from './udp-listener.ts';
import type { UdpOpening } from './udp-listener.ts';
import type { FlowEnd, UdpObserver } from './udp-observer.ts';
import { planFlow } from './udp-plan.ts';
import type { FlowChoice, FlowPlan } from './udp-plan.ts';
import { RestingSockets } from './udp-resting.ts';
import { UdpTunnels } from './udp-tunnels.ts';
import type { ArrivedUdp } from './udp-tunnels.ts';
import { directPath } from './udp-upstream.ts';
import type { DirectWay, FlowPath, FlowPathEvents } from './udp-upstream.ts';

/** What a worker is told of datagrams; absent: it serves none. */
export type UdpOptions = {
  readonly network: DatagramNetwork;
  readonly observer: UdpObserver;
  /** Workers of the proxy, among which its flows are shared out. */
  readonly workerCount: number;
  /** For tests: another bound on the flows of this worker. */
  readonly flowsMax?: number | undefined;
};

export type UdpServiceOptions = UdpOptions & {
  readonly engine: Engine;
  readonly bindAddresses: readonly string[];
  readonly changed: () => void;
};

/** For tests and `inspect`; everything is zero when nothing is under way. */
export type UdpState = {
  readonly flows: number;
  /** Flows that only wait for answers of a pod that has left. */
  readonly leaving: number;
  /** Sockets of flows that have ended, kept so that late answers reach nobody else. */
  readonly resting: number;
  readonly waitingSources: number;
  /** Flows of other nodes, to pods of this one. */
  readonly arrived: number;
  readonly listeners: readonly ListenerState[];
};

export class UdpServices {
  readonly #options: UdpServiceOptions;
  readonly #listeners: UdpListeners;
  readonly #gate: DatagramGate<UdpOpening>;
  /** Those that arrived among them. */
  readonly #flows: FlowTable<TabledFlow>;
  /** Those that wait for the word of their pods' nodes, or were refused by it. */
  readonly #unaccepted: FlowTable<UdpFlow>;
  readonly #tunnels: UdpTunnels;
  readonly #leaving = new Set<UdpFlow>();
  readonly #leavingMax: number;
  readonly #resting: RestingSockets;
  readonly #direct: DirectWay;
  /** Cells that count a flow at its endpoint. */
  readonly #cells = new Map<UdpFlow, number>();
  readonly #numbers = new WeakMap<UdpOpening, number>();
  #numbered = 0;
  /** Whose flow is being planned. */
  #asking = '';
  /** Endpoint → until when it is asked last, oldest first. */
  readonly #unreachable = new Map<string, number>();
  readonly #owner: FlowOwner;
  readonly #choice: FlowChoice;
  #specs: readonly FlowListenerSpec[] = [];
  #owns: (targetPort: number) => boolean = () => false;

  constructor(options: UdpServiceOptions) {
    const { engine, workerCount } = options;
    const flowsMax = options.flowsMax ?? Math.floor(udpFlowsMax / workerCount);
    const { deadlines } = engine;
    this.#options = options;
    this.#flows = new FlowTable(limitsOf(flowsMax));
    this.#unaccepted = new FlowTable(limitsOf(Math.ceil(flowsMax * unacceptedShare)));
    this.#leavingMax = Math.ceil(leavingMax / workerCount);
    this.#resting = new RestingSockets(deadlines, Math.ceil(restingMax / workerCount));
    this.#direct = { network: options.network, resting: this.#resting };
    this.#tunnels = new UdpTunnels({ ...options, direct: this.#direct, flows: this.#flows });
    this.#owner = {
      deadlines,
      table: () => engine.table,
      dropped: (flow, reason) => this.#dropped(flow.listener, reason),
      unreachable: (endpoint) => this.#noteUnreachable(endpoint),
      accepted: (flow) => this.#accepted(flow),
      triesElsewhere: (flow, unsent) => this.#tryElsewhere(flow, unsent),
      ended: (flow) => this.#forget(flow),
    };
    this.#choice = {
      pickBackend: (split) => {
        const { slots } = engine;
        return pickBackend(
          split,
          Atomics.add(slots.cells.split, slots.offset('split', split.key), 1),
        );
      },
      pickEndpoint: (backend, host) => {
        const asker = { host, request: noHead, remoteAddress: this.#asking };
        return engine.loads.pick(backend, this.#tried(backend), engine.random, asker);
      },
    };
    this.#gate = new DatagramGate({
      deadlines,
      enter: (datagram) => this.#enter(datagram),
      dropped: ({ listener }) => this.#dropped(listener, 'WaitFull'),
    });
    this.#listeners = new UdpListeners({
      network: options.network,
      deadlines,
      bindAddresses: options.bindAddresses,
      received: (on, data, from) => this.#received(on, data, from),
      closed: (on) => this.#endAll('closed', (flow) => flow.listener === on),
      changed: options.changed,
    });
  }

  /** Which ports this worker serves; those of the others it leaves alone. */
  own(owns: (targetPort: number) => boolean): void {
    this.#owns = owns;
    this.#listeners.follow(this.#specs.filter(({ targetPort }) => owns(targetPort)));
  }

  /** A new table is in force; addresses that are another pod's now are told. */
  tableChanged(
    table: RouteTable,
    specs: readonly FlowListenerSpec[],
    reassigned: ReadonlySet<string>,
  ): void {
    this.#specs = specs;
    this.own(this.#owns);
    // What the old pod began is not the new one's.
    for (const address of reassigned) {
      for (const flow of this.#flows.ofSource(address)) {
        if (flow instanceof UdpFlow) flow.end('source');
      }
      for (const flow of this.#unaccepted.ofSource(address)) flow.end('source');
    }
    for (const flow of [...this.#leaving]) {
      if (reassigned.has(flow.sourceKey)) flow.end('source');
    }
    this.#gate.tableChanged(table);
  }

  /** A stream of another node's proxy; false: it is no flow of datagrams. */
  arrive(arrived: ArrivedUdp): boolean {
    return this.#tunnels.arrive(arrived);
  }

  close(): void {
    this.#gate.close();
    this.#tunnels.close();
    this.#endAll('closed', () => true);
    this.#listeners.close();
    this.#resting.close();
  }

  listeners(): readonly ListenerState[] {
    return this.#listeners.states();
  }

  state(): UdpState {
    return {
      flows: this.#flows.size - this.#tunnels.size + this.#unaccepted.size,
      leaving: this.#leaving.size,
      resting: this.#resting.size,
      waitingSources: this.#gate.size,
      arrived: this.#tunnels.size,
      listeners: this.#listeners.states(),
    };
  }

  // ---- datagrams of clients -------------------------------------------------------------------

  #received(listener: UdpOpening, data: Uint8Array, from: DatagramPlace): void {
    const { engine, observer } = this.#options;
    engine.clock.begin();
    try {
      // Node spells IPv4 as we do. Nobody can be answered at port 0 (RFC 768), and an address with
      // a zone is no pod's.
      const address = from.address.includes(':') ? normaliseAddress(from.address) : from.address;
      if (address !== undefined && from.port !== 0) {
        this.#take({ listener, data, port: from.port, address });
      }
    } catch (error) {
      observer.bugFound(error);
    }
    engine.clock.end();
  }

  #take(datagram: ArrivedDatagram<UdpOpening>): void {
    const { table } = this.#options.engine;
    if (table === undefined) return;
    const flow = this.#find(this.#keyOf(datagram));
    if (flow !== undefined && this.#goesOn(flow, table)) {
      flow.forward(datagram.data);
      if (flow.isTouchDue()) {
        this.#flows.touch(flow);
        this.#unaccepted.touch(flow);
      }
      return;
    }
    if (!this.#gate.holds(table, datagram)) this.#begin(table, datagram);
  }

  /** One that has waited. */
  #enter(datagram: ArrivedDatagram<UdpOpening>): void {
    const { table } = this.#options.engine;
    if (table === undefined || !datagram.listener.isOpen) return;
    const flow = this.#find(this.#keyOf(datagram));
    if (flow === undefined) this.#begin(table, datagram);
    else flow.forward(datagram.data);
  }

  /** False: it has ended, or leaves. */
  #goesOn(flow: UdpFlow, table: RouteTable): boolean {
    const why = this.#isSameSource(flow, table) ? flow.endUnder(table) : 'source';
    if (why === undefined) return true;
    if (why === 'moved') this.#letLeave(flow);
    else flow.end(why);
    return false;
  }

  /** Its address may have become disputed, or nobody's. */
  #isSameSource({ plan, sourceKey }: UdpFlow, table: RouteTable): boolean {
    const { source } = plan;
    const now = table.sources.get(sourceKey) ?? unauthenticated;
    if (now === source) return true;
    if (now.kind !== 'workload' || source.kind !== 'workload') return now.kind === source.kind;
    return now.podName === source.podName && now.principal === source.principal;
  }

  #begin(table: RouteTable, datagram: ArrivedDatagram<UdpOpening>, attempts = 1): void {
    const { listener, address, data } = datagram;
    const { observer } = this.#options;
    const source = sourceOf(table, address);
    this.#asking = address;
    const plan = planFlow(table, listener.to, source, this.#choice);
    if (plan.kind === 'drop') {
      this.#dropped(listener, plan.reason);
      if (plan.denied === undefined) return;
      const { host, backend, endpoint, verdict } = plan.denied;
      const { destination } = verdict;
      const facts = { source, remoteAddress: address, host, backend, endpoint, destination };
      observer.flowJudged(facts, verdict);
      return;
    }
    const { host, backend, endpoint, destination, way, verdict } = plan;
    const open = this.#opener(plan, source);
    if (open === undefined) {
      this.#dropped(listener, 'TunnelUnavailable');
      return;
    }
    const facts = { source, remoteAddress: address, host, backend, endpoint, destination };
    if (verdict !== undefined) observer.flowJudged(facts, verdict);
    if (way.kind === 'direct' && way.plainReason !== undefined) {
      observer.flowWentPlain(way.plainReason);
    }
    const flows = way.kind === 'direct' ? this.#flows : this.#unaccepted;
    flows.makeRoomFor(address);
    const flow = new UdpFlow({
      owner: this.#owner,
      key: this.#keyOf(datagram),
      listener,
      client: { address, port: datagram.port },
      plan: { to: listener.to, source, backend, endpoint, way },
      table,
      idleMs: host.rules.idleTimeoutMs ?? flowIdleMs,
      attempts,
      meter: observer.flowOpened(facts),
      open,
    });
    flows.add(flow);
    this.#cells.set(flow, this.#options.engine.loads.countUp(endpoint));
    flow.forward(data);
  }

  /** What reached no pod goes to another one, by the table of now. */
  #tryElsewhere(flow: UdpFlow, unsent: readonly Uint8Array[]): boolean {
    const { table } = this.#options.engine;
    const { listener, client, attempts, plan } = flow;
    this.#noteUnreachable(plan.endpoint);
    if (table === undefined || attempts >= flowAttemptsMax || flow.isLeaving) return false;
    flow.end('refused');
    for (const data of unsent) {
      const datagram = { ...client, listener, data };
      const next = this.#find(flow.key);
      if (next === undefined) this.#begin(table, datagram, attempts + 1);
      else next.forward(data);
    }
    return true;
  }

  /** Undefined: there is no way that may be taken. */
  #opener(
    plan: Extract<FlowPlan, { kind: 'forward' }>,
    source: Source,
  ): ((events: FlowPathEvents) => FlowPath) | undefined {
    const { way, backend, endpoint } = plan;
    // Never plain where a tunnel is due.
    if (way.kind === 'tunnel') {
      return this.#tunnels.opener({ source, backend, endpoint, node: way.node });
    }
    return (events) => directPath(this.#direct, endpoint, events);
  }

  // ---- flows ----------------------------------------------------------------------------------

  #find(key: string): UdpFlow | undefined {
    const flow = this.#flows.find(key);
    return flow instanceof UdpFlow ? flow : this.#unaccepted.find(key);
  }

  #keyOf({ listener, address, port }: ArrivedDatagram<UdpOpening>): string {
    let number = this.#numbers.get(listener);
    if (number === undefined) {
      number = this.#numbered += 1;
      this.#numbers.set(listener, number);
    }
    return flowKey(number, address, port);
  }

  /** It counts like any other from now on; one that leaves already is left alone. */
  #accepted(flow: UdpFlow): void {
    if (!this.#unaccepted.remove(flow)) return;
    this.#flows.makeRoomFor(flow.sourceKey);
    this.#flows.add(flow);
  }

  #letLeave(flow: UdpFlow): void {
    this.#flows.remove(flow);
    this.#unaccepted.remove(flow);
    if (this.#leaving.size >= this.#leavingMax) {
      for (const oldest of this.#leaving) {
        oldest.end('moved');
        break;
      }
    }
    this.#leaving.add(flow);
    flow.leave();
  }

  #forget(flow: UdpFlow): void {
    this.#flows.remove(flow);
    this.#unaccepted.remove(flow);
    this.#leaving.delete(flow);
    const cell = this.#cells.get(flow);
    this.#cells.delete(flow);
    if (cell !== undefined) this.#options.engine.loads.countDown(cell);
  }

  #endAll(why: FlowEnd, isMeant: (flow: UdpFlow) => boolean): void {
    for (const flow of [...this.#flows.all(), ...this.#unaccepted.all(), ...this.#leaving]) {
      if (flow instanceof UdpFlow && isMeant(flow)) flow.end(why);
    }
  }

  #dropped({ to }: UdpOpening, reason: Parameters<UdpObserver['datagramDropped']>[1]): void {
    this.#options.observer.datagramDropped(to, reason);
  }

  // ---- pods that nobody listens at ------------------------------------------------------------

  #noteUnreachable({ id }: Endpoint): void {
    const untilMs = this.#options.engine.deadlines.nowMs() + unreachableMs;
    this.#unreachable.delete(id);
    this.#unreachable.set(id, untilMs);
    if (this.#unreachable.size <= unreachableMax) return;
    for (const oldest of this.#unreachable.keys()) {
      this.#unreachable.delete(oldest);
      break;
    }
  }

  /** Endpoints that are asked only where there is no other. */
  #tried({ endpoints }: Backend): ReadonlySet<string> {
    if (this.#unreachable.size === 0) return noneTried;
    const nowMs = this.#options.engine.deadlines.nowMs();
    for (const [id, untilMs] of this.#unreachable) {
      if (nowMs < untilMs) break;
      this.#unreachable.delete(id);
    }
    const bad = endpoints.filter(({ id }) => this.#unreachable.has(id)).map(({ id }) => id);
    return bad.length === 0 ? noneTried : new Set(bad);
  }
}

function limitsOf(flowsMax: number): FlowLimits {
  return { flowsMax, perSourceMax: Math.ceil(flowsMax * flowsPerSourceShare) };
}
