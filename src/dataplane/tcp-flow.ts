// One TCP connection of a client, from its acceptance to its end: which pod, whether it may, the
// dial, the copying (tcp-side.ts does that), and one idempotent teardown (A10). Not a byte passes
// and nothing is dialled before policy has allowed the pod that was picked. A dial that fails is
// tried at another endpoint, since nothing was sent; once a pod has taken the connection it is
// never tried again. Whoever is refused or cut gets RST.
import type { NetworkSocket } from '../lib/network.ts';
import { assert } from '../lib/assert.ts';
import type {
  Backend,
  Destination,
  Endpoint,
  FlowDestination,
  RouteTable,
  Source,
  VirtualHost,
} from '../route/index.ts';
import { isOverloaded } from './admission.ts';
import { Deadline } from './deadlines.ts';
import { noHead } from './endpoint-load.ts';
import type { Engine } from './engine.ts';
import { tunnelKeepAliveMs } from './limits.ts';
import type { Ticket } from './places.ts';
import { failureReason, reasonStatus } from './refusals.ts';
import type { Reason } from './refusals.ts';
import { noneTried, Retries } from './retries.ts';
import type { AttemptFailure } from './retry-policy.ts';
import type { TcpEnd, TcpFacts, TcpMeter, TcpObserver } from './tcp-observer.ts';
import { mayStayPlain } from './tcp-plan.ts';
import type { TcpHop, TcpPlan } from './tcp-plan.ts';
import { takeTurn } from './split-turn.ts';
import { TcpSide } from './tcp-side.ts';
import type { SideOwner } from './tcp-side.ts';
import type { GatedFlow } from './traffic-gate.ts';
import type { RefusedThere } from './tunnel-refusal.ts';

/** Once both sides have sent all: how often it is looked whether what is left still leaves. */
const lingerMs = 10_000;

export type TcpFlowOptions = {
  readonly engine: Engine;
  readonly observer: TcpObserver;
  readonly socket: NetworkSocket;
  readonly plan: TcpPlan;
  /** Opens a connection; undefined: there is no such way. */
  readonly dial: (call: TcpCall) => DialledTcp | undefined;
  /** A pod has taken it; nothing was sent to the client before. */
  readonly opened: () => void;
  /** It is over, and nothing of it reached a pod; the client is reset next. */
  readonly refused: (reason: Reason) => void;
  /** Told once. */
  readonly closed: (flow: TcpFlow) => void;
};

/** What a connection is opened for. */
export type TcpCall = {
  readonly source: Source;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly hop: TcpHop;
  /** May hold its place at the pod. */
  readonly ticket: Ticket | undefined;
};

export type DialledTcp = {
  readonly socket: NetworkSocket;
  /** Once it is closed without having been open: what was said of it. */
  readonly failure: () => RefusedThere | undefined;
};

type Phase = 'new' | 'dialling' | 'waiting' | 'open' | 'closed';

export class TcpFlow implements TcpFacts, GatedFlow, SideOwner {
  readonly remoteAddress: string;
  readonly to: FlowDestination;
  readonly isRoutedHere: boolean;
  readonly source: Source;
  host: VirtualHost | undefined;
  backend: Backend | undefined;
  endpoint: Endpoint | undefined;
  destination: Destination | undefined;
  /** What balancing by a field finds: none, so that it goes by load. */
  readonly request = noHead;
  reason: Reason | undefined;
  attempts = 0;
  durationMs = 0;
  /** In the list of all. */
  place = -1;
  ticket: Ticket | undefined;

  readonly #options: TcpFlowOptions;
  readonly #engine: Engine;
  readonly #client: TcpSide;
  readonly #startedMs: number;
  readonly #deadline: Deadline;
  #pod: TcpSide | undefined;
  #dialled: DialledTcp | undefined;
  #hop: TcpHop | undefined;
  #phase: Phase = 'new';
  #retries: Retries | undefined;
  #loadCell: number | undefined;
  #meter: TcpMeter | undefined;
  #idleMs: number | undefined;
  #movedMs = 0;
  /** What is told of bytes, and what was unsent when it was looked at last. */
  readonly #told = { receivedBytes: 0, sentBytes: 0, unsentBytes: 0 };

  constructor(options: TcpFlowOptions) {
    const { engine, plan } = options;
    this.#options = options;
    this.#engine = engine;
    this.remoteAddress = plan.remoteAddress;
    this.to = plan.to;
    this.isRoutedHere = plan.isRoutedHere;
    this.source = plan.source;
    this.#startedMs = engine.clock.nowMs();
    this.#deadline = new Deadline(() => this.#guard(() => this.#expired()));
    this.#client = new TcpSide(engine, options.socket, this);
    engine.counts.exchanges += 1;
  }

  get receivedBytes(): number {
    return this.#client.readBytes;
  }

  get sentBytes(): number {
    return this.#pod?.readBytes ?? 0;
  }

  // ---- the way of a connection ------------------------------------------------------------------

  start(): void {
    this.#guard(() => {
      const { table } = this.#engine;
      if (table === undefined) this.#end('refused');
      else if (isOverloaded(this.#engine)) this.refuse('Shedding');
      else this.#decide(table);
    });
  }

  /** Chooses the backend, which all attempts keep to, and makes the first attempt. */
  #decide(table: RouteTable): void {
    const decision = this.#options.plan.decide(table);
    this.host = decision.host;
    if (decision.kind === 'refuse') {
      this.refuse(decision.reason);
      return;
    }
    const { host, split } = decision;
    this.#idleMs = host.rules.idleTimeoutMs;
    this.#try(table, takeTurn(this.#engine, split));
  }

  #try(table: RouteTable, backend: Backend): void {
    const { loads, random } = this.#engine;
    this.backend = backend;
    const endpoint = loads.pick(backend, this.#retries?.tried ?? noneTried, random, this);
    if (endpoint === undefined) {
      this.refuse('NoEndpoints');
      return;
    }
    const hop = this.#options.plan.hopTo(table, endpoint);
    const { verdict } = hop;
    this.endpoint = endpoint;
    this.destination = verdict.destination;
    this.#hop = hop;
    // Retries repeat the decision for another pod; only a change of mind is news.
    const isNews = this.attempts === 0 || verdict.kind === 'deny';
    if (isNews && hop.isJudgedHere) this.#options.observer.tcpJudged(this, verdict);
    if (verdict.kind === 'deny') this.refuse(verdict.reason);
    else this.#open(backend, endpoint, hop);
  }

  #open(backend: Backend, endpoint: Endpoint, hop: TcpHop): void {
    const isLimited = this.host?.rules.shaping !== undefined;
    if (isLimited && !this.#engine.gate.admitsFlow(this, endpoint, hop)) return;
    const { source, ticket } = this;
    this.#dial({ source, backend, endpoint, hop, ticket });
  }

  pause(ms: number): void {
    this.#phase = 'waiting';
    this.#engine.deadlines.arm(this.#deadline, ms);
  }

  /** Its turn in the line for a place at the pod. */
  resume(): void {
    if (this.#phase !== 'waiting') return;
    this.#engine.deadlines.disarm(this.#deadline);
    this.#guard(() => this.#retry());
  }

  #dial(call: TcpCall): void {
    const { engine, observer, dial } = this.#options;
    const { endpoint, hop } = call;
    this.attempts += 1;
    const dialled = hop.way === 'none' ? undefined : dial(call);
    if (dialled === undefined) {
      this.#tryElsewhere('TunnelUnavailable');
      return;
    }
    this.#dialled = dialled;
    const { socket } = dialled;
    if (hop.plainReason !== undefined) observer.tcpWentPlain(hop.plainReason);
    const pod = new TcpSide(engine, socket, this);
    this.#pod = pod;
    this.#phase = 'dialling';
    this.#loadCell = engine.loads.countUp(endpoint);
    const waitMs = this.host?.rules.connectTimeoutMs ?? engine.limits.connectTimeoutMs;
    engine.deadlines.arm(this.#deadline, waitMs);
    socket.on('connect', () => this.#guard(() => this.#connected(pod)));
  }

  #connected(pod: TcpSide): void {
    if (this.#phase !== 'dialling' || this.#pod !== pod) return;
    this.#phase = 'open';
    const { deadlines, clock, loads, budgets } = this.#engine;
    deadlines.disarm(this.#deadline);
    if (this.endpoint !== undefined) loads.succeeded(this.endpoint);
    budgets.deposit(this.host);
    this.#movedMs = clock.nowMs();
    if (this.#idleMs !== undefined) deadlines.arm(this.#deadline, this.#idleMs);
    this.#meter = this.#options.observer.tcpOpened(this);
    this.#options.opened();
    // That of the pod's side was told so when it was opened.
    this.#options.socket.setKeepAlive?.(true, tunnelKeepAliveMs);
    this.#client.join(pod);
    pod.join(this.#client);
  }

  // ---- a dial that failed -----------------------------------------------------------------------

  #tryElsewhere(reason: Reason, failure = failedDial(reason)): void {
    this.#noteFailure(reason);
    this.#leavePod();
    if (this.#mayTryAgain(failure)) this.#tryAgain(failure);
    else this.refuse(reason);
  }

  /** The connection to the pod is gone before it was open; the other proxy may have said why. */
  #dialFailed(): void {
    const told = this.#dialled?.failure();
    if (told === undefined) {
      this.#tryElsewhere('UpstreamConnect');
    } else if (told.failure === undefined) {
      this.#leavePod();
      this.refuse(told.reason);
    } else {
      // Nothing has passed, whatever the other side says of it.
      this.#tryElsewhere(told.reason, { ...told.failure, isUnsent: true });
    }
  }

  /** Only that it failed: how long a connection takes to open says nothing of its pod's load. */
  #noteFailure(reason: Reason): void {
    const { loads, random } = this.#engine;
    // Where nothing was dialled nothing has failed, and a certificate is no business of the pod's.
    const isNoFault = this.#dialled === undefined || reason === 'IdentityPending';
    if (this.endpoint === undefined || isNoFault) return;
    const fault = reason === 'UpstreamConnect' ? 'refused' : 'hard';
    const isEjected = loads.failed(this.endpoint, fault, random);
    if (isEjected) this.#options.observer.tcpEjected(this);
  }

  #mayTryAgain(failure: AttemptFailure): boolean {
    const { host } = this;
    if (host === undefined || !this.#options.plan.isRoutedHere) return false;
    this.#retries ??= new Retries(this.#engine, host, false);
    const answer = this.#retries.ask(failure);
    if (answer === 'exhausted') this.#options.observer.tcpBudgetExhausted(this);
    return answer === 'granted';
  }

  /** At once where another endpoint is there. */
  #tryAgain(failure: AttemptFailure): void {
    const { backend } = this;
    const retries = this.#retries;
    assert(retries !== undefined && backend !== undefined, 'a retry of nothing');
    retries.begin(failure, this.endpoint);
    this.#options.observer.tcpRetried(this);
    this.#phase = 'waiting';
    const hasOthers = backend.endpoints.length > retries.tried.size;
    if (hasOthers) this.#retry();
    else this.#engine.deadlines.arm(this.#deadline, retries.waitMs());
  }

  /** By the table of now: no verdict of an older one opens a connection. */
  #retry(): void {
    const { backend } = this;
    const { table } = this.#engine;
    if (backend !== undefined && table !== undefined) this.#try(table, backend);
  }

  /** The connection to the pod is nobody's any more. */
  #leavePod(): void {
    this.#pod?.reset();
    this.#pod = undefined;
    this.#dialled = undefined;
    if (this.#loadCell !== undefined) this.#engine.loads.countDown(this.#loadCell);
    this.#loadCell = undefined;
  }

  // ---- what the worker does ---------------------------------------------------------------------

  /** Cuts it where the new table does not allow it any more (contract §4). */
  recheck(table: RouteTable): void {
    const { endpoint } = this;
    if (this.#phase === 'closed' || endpoint === undefined) return;
    if (this.#hop?.isJudgedHere !== true) return;
    if (this.#hop.way === 'plain' && !mayStayPlain(table, endpoint)) {
      this.cut('TunnelUnavailable');
      return;
    }
    const verdict = this.#options.plan.judge(table, endpoint);
    if (verdict.kind !== 'deny') return;
    this.#options.observer.tcpJudged(this, verdict);
    this.cut(verdict.reason);
  }

  /** The client learns first of what is cut next. */
  resetClient(): void {
    this.#guard(() => this.#client.reset());
  }

  /** Ends it now, for this reason. */
  cut(reason: Reason | undefined): void {
    this.reason = reason;
    this.#end(this.#phase === 'open' ? 'cut' : 'refused');
  }

  /** Tells what has moved since it was asked last. */
  tellMoved(): void {
    const { receivedBytes, sentBytes } = this;
    const told = this.#told;
    if (receivedBytes === told.receivedBytes && sentBytes === told.sentBytes) return;
    this.#meter?.moved(receivedBytes - told.receivedBytes, sentBytes - told.sentBytes);
    told.receivedBytes = receivedBytes;
    told.sentBytes = sentBytes;
  }

  // ---- what its sides tell ----------------------------------------------------------------------

  sideMoved(): void {
    if (this.#idleMs !== undefined) this.#movedMs = this.#engine.clock.nowMs();
  }

  sideEnded(): void {
    if (!this.#client.hasEnded || this.#pod?.hasEnded !== true) return;
    this.#told.unsentBytes = this.#unsentBytes;
    this.#engine.deadlines.arm(this.#deadline, lingerMs);
  }

  sideClosed(side: TcpSide): void {
    if (this.#phase === 'closed') return;
    if (this.#phase === 'open') {
      const other = side === this.#client ? this.#pod : this.#client;
      if (!side.isDone) this.#end('reset');
      else if (other?.isClosed === true) this.#end('ended');
    } else if (side === this.#client) {
      this.#end('reset');
    } else {
      this.#dialFailed();
    }
  }

  bugFound(error: unknown): void {
    this.#engine.observer.bugFound(error);
    this.cut('Bug');
  }

  // ---- deadlines --------------------------------------------------------------------------------

  #expired(): void {
    switch (this.#phase) {
      case 'dialling':
        this.#tryElsewhere(failureReason('connect-timeout'));
        return;
      case 'waiting':
        this.#retry();
        return;
      case 'open':
        if (this.#client.hasEnded && this.#pod?.hasEnded === true) this.#lookAtRest();
        else this.#lookAtIdle();
        return;
      case 'new':
      case 'closed':
        return;
    }
  }

  #lookAtIdle(): void {
    const { deadlines, clock } = this.#engine;
    if (this.#idleMs === undefined) return;
    const leftMs = this.#movedMs + this.#idleMs - clock.nowMs();
    if (leftMs > 0) deadlines.arm(this.#deadline, leftMs);
    else this.cut('TimeoutIdle');
  }

  /** Both sides have sent all; who does not read the rest is not waited for. */
  #lookAtRest(): void {
    const unsentBytes = this.#unsentBytes;
    const isMoving = unsentBytes < this.#told.unsentBytes;
    this.#told.unsentBytes = unsentBytes;
    if (isMoving) this.#engine.deadlines.arm(this.#deadline, lingerMs);
    else this.cut('TimeoutIdle');
  }

  get #unsentBytes(): number {
    return this.#client.unsentBytes + (this.#pod?.unsentBytes ?? 0);
  }

  // ---- end --------------------------------------------------------------------------------------

  refuse(reason: Reason): void {
    this.reason = reason;
    this.#end('refused');
  }

  /** The one end of every connection (A10): idempotent, and gives back all that was taken. */
  #end(how: TcpEnd): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#engine.gate.leave(this);
    const { deadlines, clock, counts } = this.#engine;
    deadlines.disarm(this.#deadline);
    this.durationMs = clock.nowMs() - this.#startedMs;
    this.tellMoved();
    this.#meter?.closed();
    this.#options.observer.tcpEnded(this, how);
    if (how === 'refused') this.#options.refused(this.reason ?? 'Shedding');
    this.#client.reset();
    // It keeps what it has read, for who asks.
    this.#pod?.reset();
    if (this.#loadCell !== undefined) this.#engine.loads.countDown(this.#loadCell);
    counts.exchanges -= 1;
    this.#options.closed(this);
  }

  /** A bug on this connection ends this connection, not the worker. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.bugFound(error);
    }
  }
}

function failedDial(reason: Reason): AttemptFailure {
  return { kind: 'connect', status: reasonStatus(reason), isUnsent: true };
}
