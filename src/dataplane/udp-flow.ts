// One flow of datagrams: a client's address and port at one listener, and the way to the pod that
// was chosen for it. It answers nothing of its own: what a client gets is what the pod sent, to the
// address and port that the datagrams came from, from the ones they were sent to; so the mesh makes
// nobody's traffic larger than the pod does.
// Invariant: it ends once (A10), and then neither a deadline nor a socket of it is left.
import type { DatagramFate, DatagramPlace } from '../lib/datagrams.ts';
import type { Endpoint, RouteTable } from '../route/index.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import type { TabledFlow } from './udp-flows.ts';
import type { UdpOpening } from './udp-listener.ts';
import type { DropReason, FlowEnd, FlowMeter } from './udp-observer.ts';
import { leavingMs, refusedMs, touchMs } from './udp-limits.ts';
import { flowDenialUnder, flowEndUnder } from './udp-plan.ts';
import type { PlannedFlow } from './udp-plan.ts';
import type { FlowPath, FlowPathEvents } from './udp-upstream.ts';

/** What a flow asks of those that all flows of a worker share. */
export type FlowOwner = {
  readonly deadlines: Deadlines;
  /** The table in force; read once per datagram. */
  readonly table: () => RouteTable | undefined;
  readonly dropped: (flow: UdpFlow, reason: DropReason) => void;
  readonly unreachable: (endpoint: Endpoint) => void;
  /** The pod's node has let it in. */
  readonly accepted: (flow: UdpFlow) => void;
  /** True: other pods are tried with what was not sent, and the flow has ended. */
  readonly triesElsewhere: (flow: UdpFlow, unsent: readonly Uint8Array[]) => boolean;
  /** Told once. */
  readonly ended: (flow: UdpFlow, why: FlowEnd) => void;
};

export type FlowOptions = {
  readonly owner: FlowOwner;
  readonly key: string;
  readonly listener: UdpOpening;
  readonly client: DatagramPlace;
  readonly plan: PlannedFlow;
  /** The table that the plan was made under. */
  readonly table: RouteTable;
  readonly idleMs: number;
  /** Pods that were tried for it, this one among them. */
  readonly attempts: number;
  readonly meter: FlowMeter;
  readonly open: (events: FlowPathEvents) => FlowPath;
};

export class UdpFlow implements TabledFlow {
  readonly key: string;
  /** Of its client. */
  readonly sourceKey: string;
  readonly listener: UdpOpening;
  readonly plan: PlannedFlow;
  readonly client: DatagramPlace;
  readonly attempts: number;
  readonly meter: FlowMeter;
  readonly #owner: FlowOwner;
  readonly #idleMs: number;
  readonly #deadline = new Deadline(() => this.#looked());
  readonly #path: FlowPath;
  /** It was looked at under this table last. */
  #table: RouteTable;
  #usedMs: number;
  #touchedMs: number;
  #isLeaving = false;
  /** Why the other node does not take it; kept for a while, so that not each datagram asks. */
  #refusal: DropReason | undefined;
  #hasEnded = false;

  constructor(options: FlowOptions) {
    const { owner, client, idleMs } = options;
    this.key = options.key;
    this.sourceKey = client.address;
    this.listener = options.listener;
    this.plan = options.plan;
    this.meter = options.meter;
    this.#owner = owner;
    this.client = client;
    this.attempts = options.attempts;
    this.#idleMs = idleMs;
    this.#table = options.table;
    this.#usedMs = owner.deadlines.nowMs();
    this.#touchedMs = this.#usedMs;
    this.#path = options.open({
      accepted: () => owner.accepted(this),
      received: (data) => this.#answer(data),
      lost: (why) => owner.dropped(this, dropReasons[why]),
      unreachable: () => {
        owner.unreachable(this.plan.endpoint);
        this.end('unreachable');
      },
      refused: (reason, unsent) => this.#refused(reason, unsent),
      broken: () => this.#broken(),
    });
    owner.deadlines.arm(this.#deadline, idleMs);
  }

  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** It was not moved in the order of use for a while; asked at each datagram of the client. */
  isTouchDue(): boolean {
    if (this.#usedMs - this.#touchedMs < touchMs) return false;
    this.#touchedMs = this.#usedMs;
    return true;
  }

  /** Why its client's next datagram may not go this way; `undefined`: it may. */
  endUnder(table: RouteTable): FlowEnd | undefined {
    if (table === this.#table) return undefined;
    const why = flowEndUnder(table, this.plan);
    if (why === undefined) this.#table = table;
    return why;
  }

  /** A datagram of the client. */
  forward(data: Uint8Array): void {
    if (this.#refusal !== undefined) {
      this.#owner.dropped(this, this.#refusal);
      return;
    }
    this.#usedMs = this.#owner.deadlines.nowMs();
    const fate = this.#path.send(data);
    if (fate === 'sent') this.meter.received(data.length);
    else this.#owner.dropped(this, dropReasons[fate]);
  }

  /** Nothing goes to the pod any more; what it still answers passes for a while. */
  leave(): void {
    if (this.#isLeaving || this.#hasEnded) return;
    this.#isLeaving = true;
    this.#owner.deadlines.arm(this.#deadline, leavingMs);
  }

  evict(): void {
    this.end('evicted');
  }

  /** Idempotent. */
  end(why: FlowEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#owner.deadlines.disarm(this.#deadline);
    this.#path.close();
    this.meter.ended(why);
    this.#owner.ended(this, why);
  }

  /** A datagram of the pod. */
  #answer(data: Uint8Array): void {
    const denial = this.#denial();
    if (denial !== undefined) {
      this.end(denial);
      return;
    }
    this.#usedMs = this.#owner.deadlines.nowMs();
    const fate = this.listener.sendTo(data, this.client);
    if (fate === 'sent') this.meter.sent(data.length);
    else this.#owner.dropped(this, dropReasons[fate]);
  }

  /** The other node says no more than that; most often nobody listens at the pod. */
  #broken(): void {
    const { way, endpoint } = this.plan;
    if (way.kind === 'tunnel') this.#owner.unreachable(endpoint);
    this.end('failed');
  }

  #refused(reason: DropReason, unsent: readonly Uint8Array[]): void {
    if (this.#hasEnded || this.#refusal !== undefined) return;
    // A verdict holds for all pods; anything else is one pod's, or its node's late news.
    if (!verdicts.has(reason) && this.#owner.triesElsewhere(this, unsent)) return;
    this.#refusal = reason;
    for (let count = unsent.length; count > 0; count -= 1) this.#owner.dropped(this, reason);
    this.#owner.deadlines.arm(this.#deadline, refusedMs);
  }

  /** Why an answer may not pass under the table of now. */
  #denial(): FlowEnd | undefined {
    const table = this.#owner.table();
    if (table === undefined || table === this.#table) return undefined;
    return flowDenialUnder(table, this.plan);
  }

  /** Datagrams move no deadline: it is looked at when it is due, and armed for what is left. */
  #looked(): void {
    const { deadlines } = this.#owner;
    const isOver = this.#isLeaving || this.#refusal !== undefined;
    const leftMs = isOver ? 0 : this.#usedMs + this.#idleMs - deadlines.nowMs();
    if (leftMs > 0) deadlines.arm(this.#deadline, leftMs);
    else if (this.#refusal !== undefined) this.end('refused');
    else this.end(this.#isLeaving ? 'moved' : 'idle');
  }
}

/** What policy says, or the lack of a certificate: no pod's own. */
const verdicts: ReadonlySet<DropReason> = new Set<DropReason>([
  'SourceNotAllowed',
  'RouteNotAllowed',
  'SourceUnknown',
  'IdentityPending',
]);

const dropReasons: Readonly<Record<Exclude<DatagramFate, 'sent'>, DropReason>> = {
  full: 'QueueFull',
  long: 'TooLong',
  failed: 'Unsent',
};
