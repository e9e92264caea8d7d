// A flow of datagrams that came by tunnel, on the node of its pod: this node believes none of what
// the caller's says but looks the pod up in its own table, judges the caller that the certificate
// proves, and only then lets it in. What it carries passes as the caller's proxy chose it: nothing
// is routed here, and nothing is counted twice (the caller's proxy counts flows and datagrams).
// Invariant: it ends once (A10), and then neither a deadline nor a socket of it is left.
import { authoriseFlow, endpointOfTunnel } from '../route/index.ts';
import type { Endpoint, RouteTable, Source, TunnelEnd, TunnelTarget } from '../route/index.ts';
import type { NetworkSocket } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import type { Reason } from './refusals.ts';
import { CapsuleReader, renderDatagram } from './udp-capsules.ts';
import type { TabledFlow } from './udp-flows.ts';
import {
  arrivedIdleFactor,
  flowIdleMs,
  leavingMs,
  touchMs,
  tunnelledBytesMax,
} from './udp-limits.ts';
import type { FlowFacts, UdpObserver } from './udp-observer.ts';
import type { FlowPath, FlowPathEvents } from './udp-upstream.ts';

/** A stream that has arrived, and waits for this node's word. */
export type ArrivedStream = NetworkSocket & {
  readonly accept: () => void;
  /** Nothing of it reached the pod; closes it. */
  readonly refuse: (reason: Reason) => void;
};

export type ArrivedFlowOptions = {
  readonly key: string;
  readonly deadlines: Deadlines;
  readonly table: () => RouteTable | undefined;
  readonly observer: Pick<UdpObserver, 'flowJudged'>;
  readonly stream: ArrivedStream;
  readonly target: TunnelTarget;
  /** Whom the peer's certificate proves to call. */
  readonly source: Source;
  /** Of the other proxy; for logs. */
  readonly remoteAddress: string;
  /** It is let in; until then it takes nobody's place. */
  readonly open: (
    flow: ArrivedFlow,
    endpoint: Endpoint,
    events: FlowPathEvents,
  ) => FlowPath;
  /** It was not moved in the order of use for a while. */
  readonly used: (flow: ArrivedFlow) => void;
  /** Told once. */
  readonly ended: (flow: ArrivedFlow) => void;
};

export class ArrivedFlow implements TabledFlow {
  readonly key: string;
  readonly sourceKey: string;
  readonly #options: ArrivedFlowOptions;
  readonly #deadline = new Deadline(() => this.#looked());
  #path: FlowPath | undefined;
  #idleMs = flowIdleMs * arrivedIdleFactor;
  /** It was let in under this table, or looked at under it last. */
  #table: RouteTable | undefined;
  /** Which pod it is, and where; undefined: it was not let in. */
  #pod: { readonly endpoint: Endpoint; readonly uid: string | undefined } | undefined;
  /** Its pod takes nothing new any more. */
  #isLeaving = false;
  #usedMs = 0;
  #touchedMs = 0;
  #hasEnded = false;

  constructor(options: ArrivedFlowOptions) {
    this.#options = options;
    const { stream, source, remoteAddress } = options;
    const caller = source.kind === 'workload' ? source.principal : source.kind;
    this.key = options.key;
    this.sourceKey = `${caller} at ${remoteAddress}`;
    stream.on('error', () => undefined);
    stream.on('close', () => this.end());
  }

  /** Lets it in, or refuses it. */
  begin(): void {
    const { stream, target, table: tableNow, deadlines } = this.#options;
    const table = tableNow();
    const end = table && endpointOfTunnel(table, target);
    if (table === undefined || end === undefined) {
      this.#refuse('PodNotHere');
      return;
    }
    if (!this.#isJudgedFine(table, end)) return;
    this.#table = table;
    this.#pod = { endpoint: end.endpoint, uid: podAt(table, end.endpoint) };
    this.#idleMs = (end.host.rules.idleTimeoutMs ?? flowIdleMs) * arrivedIdleFactor;
    this.#usedMs = deadlines.nowMs();
    this.#touchedMs = this.#usedMs;
    deadlines.arm(this.#deadline, this.#idleMs);
    this.#path = this.#options.open(this, end.endpoint, {
      accepted: () => undefined,
      received: (data) => this.#answer(data),
      // One datagram less; who sent it hears nothing, as on any wire.
      lost: () => undefined,
      refused: () => this.end(),
      unreachable: () => this.end(),
      broken: () => this.end(),
    });
    stream.accept();
    const reader = new CapsuleReader((data) => this.#forward(data));
    stream.on('end', () => this.end());
    stream.on('data', (bytes) => {
      if (!reader.read(bytes)) this.end();
    });
  }

  /** Its caller's proxy hears that it broke, and opens another at the next datagram. */
  evict(): void {
    this.end();
  }

  /** Cuts it; idempotent. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#options.deadlines.disarm(this.#deadline);
    this.#path?.close();
    this.#options.stream.resetAndDestroy();
    this.#options.ended(this);
  }

  #refuse(reason: Reason): void {
    this.#options.stream.refuse(reason);
    this.end();
  }

  /** The very function that one node alone uses. */
  #isJudgedFine(table: RouteTable, { host, endpoint, split }: TunnelEnd): boolean {
    const { source, remoteAddress, observer } = this.#options;
    const verdict = authoriseFlow(table, source, endpoint, 'udp');
    const backend = split.backends[0]?.backend;
    if (backend !== undefined) {
      const { destination } = verdict;
      const facts: FlowFacts = { source, remoteAddress, host, backend, endpoint, destination };
      observer.flowJudged(facts, verdict);
    }
    if (verdict.kind === 'deny') this.#refuse(verdict.reason);
    return verdict.kind !== 'deny';
  }

  #forward(data: Uint8Array): void {
    if (this.#hasEnded || !this.#mayGoOn()) return;
    this.#usedMs = this.#options.deadlines.nowMs();
    if (this.#usedMs - this.#touchedMs >= touchMs) {
      this.#touchedMs = this.#usedMs;
      this.#options.used(this);
    }
    this.#path?.send(data);
  }

  #answer(data: Uint8Array): void {
    const { stream, deadlines } = this.#options;
    if (this.#hasEnded || !this.#mayGoOn()) return;
    this.#usedMs = deadlines.nowMs();
    if (stream.writableLength <= tunnelledBytesMax) stream.write(renderDatagram(data));
  }

  /** Under each table once: the pod is still here, and the caller may still send to it. */
  #mayGoOn(): boolean {
    const { table: tableNow, target, source } = this.#options;
    const table = tableNow();
    if (table === undefined || table === this.#table) return true;
    const endpoint = endpointOfTunnel(table, target)?.endpoint ?? this.#leftUnder(table);
    const isFine = endpoint !== undefined
      && authoriseFlow(table, source, endpoint, 'udp').kind !== 'deny';
    if (isFine) this.#table = table;
    else this.end();
    return isFine;
  }

  /**
   * Where its pod is that has left the Service and lives on: what it was asked it still answers,
   * and the caller's proxy, which may hear of it later, goes elsewhere by itself.
   */
  #leftUnder(table: RouteTable): Endpoint | undefined {
    const pod = this.#pod;
    if (pod?.uid === undefined || podAt(table, pod.endpoint) !== pod.uid) return undefined;
    if (!this.#isLeaving) this.#options.deadlines.arm(this.#deadline, leavingMs);
    this.#isLeaving = true;
    return pod.endpoint;
  }

  #looked(): void {
    const { deadlines } = this.#options;
    const leftMs = this.#isLeaving ? 0 : this.#usedMs + this.#idleMs - deadlines.nowMs();
    if (leftMs > 0) deadlines.arm(this.#deadline, leftMs);
    else this.end();
  }
}

/** Which pod of this node has the address; undefined also where it is the node's own. */
function podAt({ node }: RouteTable, { address }: Endpoint): string | undefined {
  const binding = node.bindings.get(address);
  if (binding?.kind !== 'workload' || binding.nodeName !== node.nodeName) return undefined;
  return binding.workload.podUid;
}
