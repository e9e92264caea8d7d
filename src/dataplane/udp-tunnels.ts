// The flows of datagrams that go through tunnels: those of clients of this node, each on a stream
// of its own to the proxy of its pod's node, and those that arrive here from other nodes. Between
// nodes identities never share a session, and nothing goes plain because a tunnel fails.
import { formatSpiffeId } from '../identity/index.ts';
import { unauthenticated } from '../route/index.ts';
import type { Backend, Endpoint, Source } from '../route/index.ts';
import type { ArrivedFrom } from './arrived-plan.ts';
import type { Engine } from './engine.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import { readTunnelFields, tunnelCallHead } from './tunnel-fields.ts';
import { fieldsOf } from './tunnel-stream.ts';
import type { TunnelStream } from './tunnel-stream.ts';
import { ArrivedFlow } from './udp-arrived.ts';
import type { FlowTable, TabledFlow } from './udp-flows.ts';
import type { UdpObserver } from './udp-observer.ts';
import { untunnelledOfAllMax } from './udp-limits.ts';
import { streamPath } from './udp-stream.ts';
import { directPath } from './udp-upstream.ts';
import type { DirectWay, FlowPath, FlowPathEvents } from './udp-upstream.ts';

export type UdpTunnelsOptions = {
  readonly engine: Engine;
  readonly direct: DirectWay;
  readonly observer: UdpObserver;
  /** All that this worker carries: those that arrive take their place among them. */
  readonly flows: FlowTable<TabledFlow>;
};

/** A flow of another node, as its proxy asks for it. */
export type ArrivedUdp = {
  readonly from: ArrivedFrom;
  /** Of the other proxy. */
  readonly remoteAddress: string;
  readonly stream: TunnelStream;
  readonly head: readonly DecodedField[];
};

export type TunnelledFlow = {
  readonly source: Source;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly node: string;
};

export class UdpTunnels {
  readonly #options: UdpTunnelsOptions;
  /** Those that were let in. */
  readonly #arrived = new Set<ArrivedFlow>();
  readonly #room = { bytes: untunnelledOfAllMax };
  #numbered = 0;

  constructor(options: UdpTunnelsOptions) {
    this.#options = options;
  }

  /** Flows of other nodes. */
  get size(): number {
    return this.#arrived.size;
  }

  /** Undefined: this worker opens no tunnels, or the caller can have no certificate. */
  opener(flow: TunnelledFlow): ((events: FlowPathEvents) => FlowPath) | undefined {
    const { tunnelSessions } = this.#options.engine;
    if (tunnelSessions === undefined) return undefined;
    const { source, backend, endpoint, node } = flow;
    const isAuthenticated = source.kind === 'workload';
    const { trustDomain } = tunnelSessions;
    const id = isAuthenticated ? formatSpiffeId({ trustDomain, ...source }) : undefined;
    if (isAuthenticated && id === undefined) return undefined;
    const head = tunnelCallHead({ backend, endpoint, isAuthenticated, transport: 'udp' });
    return (events) => streamPath(tunnelSessions.open({ id, node }, head), events, this.#room);
  }

  /** False: it is no flow of datagrams. */
  arrive({ from, remoteAddress, stream, head }: ArrivedUdp): boolean {
    const fields = readTunnelFields(fieldsOf(head), 'udp');
    if (fields === undefined) return false;
    const { engine, observer, flows } = this.#options;
    if (head[0]?.value !== 'CONNECT') stream.refuse('BadRequestUnsupported');
    else {
      new ArrivedFlow({
        key: `arrived ${(this.#numbered += 1)}`,
        deadlines: engine.deadlines,
        table: () => engine.table,
        observer,
        stream,
        target: fields.target,
        source: fields.isLowered ? unauthenticated : from.source,
        remoteAddress,
        open: (flow, endpoint, events) => this.#openArrived(flow, endpoint, events),
        used: (flow) => flows.touch(flow),
        ended: (flow) => {
          this.#arrived.delete(flow);
          flows.remove(flow);
        },
      }).begin();
    }
    return true;
  }

  #openArrived(flow: ArrivedFlow, endpoint: Endpoint, events: FlowPathEvents): FlowPath {
    const { direct, flows } = this.#options;
    flows.makeRoomFor(flow.sourceKey);
    flows.add(flow);
    this.#arrived.add(flow);
    return directPath(direct, endpoint, events);
  }

  close(): void {
    for (const flow of [...this.#arrived]) flow.end();
  }
}
