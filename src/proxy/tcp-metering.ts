// What the data plane tells of TCP connections → metrics and access log of this worker. Each
// connection is counted once, by the proxy of its source, under the labels that an HTTP exchange of
// the same edge has; its bytes are counted while it lives. A line of the access log is written when
// it ends, and has the fields of an exchange but those that only a request has.
import type {
  TcpEnd,
  TcpFacts,
  TcpMeter,
  TcpObserver,
} from '../dataplane/index.ts';
import type { DenyReason, Destination, Source, Verdict, VirtualHost } from '../route/index.ts';
import { formatAccessLine, wantsAccessLine } from '../telemetry/index.ts';
import type { LabelsOf, MeterArena } from '../telemetry/index.ts';
import { destinationOf, isDenial, sourceOf, type MeteringOptions } from './metering.ts';

export function tcpMetering(options: MeteringOptions): TcpObserver {
  const { meters } = options;
  const edges = new KnownEdges(meters);
  // Would-be denials of connections that live, until their line is written; of those that came by
  // tunnel no end is told here.
  let audited: WeakMap<TcpFacts, DenyReason> | undefined;
  return {
    tcpOpened: (facts) => edges.of(facts).opened(),
    tcpJudged: (facts, verdict) => {
      edges.of(facts).judged(verdict);
      if (verdict.kind === 'audit') (audited ??= new WeakMap()).set(facts, verdict.reason);
    },
    tcpRetried: ({ host, to }) => {
      const labels = { ...serviceOf(host, to), outcome: 'started' };
      meters.add(meters.counter('weft_retries_total', labels), 1);
    },
    tcpBudgetExhausted: ({ host, to }) => {
      const labels = serviceOf(host, to);
      meters.add(meters.counter('weft_retry_budget_exhausted_total', labels), 1);
    },
    tcpEjected: ({ host, to }) => {
      const labels = serviceOf(host, to);
      meters.add(meters.counter('weft_endpoint_ejections_total', labels), 1);
    },
    tcpWentPlain: (reason) => {
      meters.add(meters.counter('weft_plain_requests_total', { reason }), 1);
    },
    tcpEnded: (facts, end) => {
      const auditReason = audited?.get(facts);
      if (auditReason !== undefined) audited?.delete(facts);
      if (end === 'refused' && facts.reason !== undefined) countRefused(meters, facts);
      logConnection(options, facts, { end, auditReason });
    },
  };
}

type Named = Pick<TcpFacts['to'], 'namespace' | 'service'>;

function serviceOf(host: VirtualHost | undefined, to: Named) {
  const { namespace, service } = host ?? to;
  return { destination_namespace: namespace, destination_service: service };
}

function countRefused(meters: MeterArena, { host, to, reason = 'Bug' }: TcpFacts): void {
  const labels = { ...serviceOf(host, to), reason };
  meters.add(meters.counter('weft_tcp_connections_refused_total', labels), 1);
}

type EdgeLabels = LabelsOf<'weft_tcp_connections_opened_total'>;

/** The cells of one source and destination, found once. */
class TcpEdge {
  readonly #meters: MeterArena;
  readonly #moves: TcpMeter;
  readonly #opened: number;
  readonly #open: number;

  constructor(meters: MeterArena, labels: EdgeLabels) {
    this.#meters = meters;
    this.#opened = meters.counter('weft_tcp_connections_opened_total', labels);
    this.#open = meters.gauge('weft_tcp_connections_open', labels);
    const received = meters.counter('weft_tcp_received_bytes_total', labels);
    const sent = meters.counter('weft_tcp_sent_bytes_total', labels);
    this.#moves = {
      moved: (receivedBytes, sentBytes) => {
        meters.add(received, receivedBytes);
        meters.add(sent, sentBytes);
      },
      closed: () => meters.add(this.#open, -1),
    };
  }

  opened(): TcpMeter {
    this.#meters.add(this.#opened, 1);
    this.#meters.add(this.#open, 1);
    return this.#moves;
  }
}

/** Counts of one edge; a connection that is denied makes no series of connections. */
class Edge {
  readonly #meters: MeterArena;
  readonly #labels: EdgeLabels;
  #tcp: TcpEdge | undefined;

  constructor(meters: MeterArena, labels: EdgeLabels) {
    this.#meters = meters;
    this.#labels = labels;
  }

  opened(): TcpMeter {
    this.#tcp ??= new TcpEdge(this.#meters, this.#labels);
    return this.#tcp.opened();
  }

  judged(verdict: Verdict): void {
    const action = verdict.kind === 'audit' ? 'audit_deny' : verdict.kind;
    const reason = verdict.kind === 'allow' ? '' : verdict.reason;
    const labels = { ...this.#labels, action, reason };
    this.#meters.add(this.#meters.counter('weft_policy_decisions_total', labels), 1);
  }
}

const noHost = {};
const noDestination = {};

/** What is known lives as long as the table's objects do: a new table has its own. */
class KnownEdges {
  readonly #meters: MeterArena;
  readonly #hosts = new WeakMap<object, WeakMap<object, WeakMap<Source, Edge>>>();

  constructor(meters: MeterArena) {
    this.#meters = meters;
  }

  of({ host, to, destination, source }: TcpFacts): Edge {
    const places = found(this.#hosts, host ?? noHost, () => new WeakMap());
    const sources = found(places, destination ?? noDestination, () => new WeakMap());
    return found(sources, source, () => {
      return new Edge(this.#meters, edgeLabels({ host, to, destination, source }));
    });
  }
}

function found<K extends object, V>(known: WeakMap<K, V>, key: K, make: () => V): V {
  let value = known.get(key);
  if (value === undefined) {
    value = make();
    known.set(key, value);
  }
  return value;
}

type EdgeOf = {
  readonly host: VirtualHost | undefined;
  readonly to: Named;
  readonly destination: Destination | undefined;
  readonly source: Source;
};

function edgeLabels({ host, to, destination, source }: EdgeOf): EdgeLabels {
  const place = destinationOf(host, destination);
  const { destination_service } = serviceOf(host, to);
  const destination_namespace = place.destination_namespace || to.namespace;
  return { ...sourceOf(source), ...place, destination_namespace, destination_service };
}

function logConnection(
  options: MeteringOptions,
  facts: TcpFacts,
  { end, auditReason }: { readonly end: TcpEnd; readonly auditReason: DenyReason | undefined },
): void {
  const { reason, source, durationMs } = facts;
  const isDenied = isDenial(reason) || auditReason !== undefined;
  const isCutOff = end !== 'ended';
  if (!wantsAccessLine(options.mode, { status: 0, isDenied, isCutOff }, options.random())) return;
  const { host, to, destination } = facts;
  const labels = edgeLabels({ host, to, destination, source });
  options.ring.push(
    formatAccessLine({
      timeMs: options.clock.wallMs() - durationMs,
      durationMs,
      sourceNamespace: labels.source_namespace,
      sourceWorkload: source.kind === 'workload' ? labels.source_workload : '',
      sourceAddress: facts.remoteAddress,
      destinationNamespace: labels.destination_namespace,
      destinationService: labels.destination_service,
      destinationWorkload: labels.destination_workload,
      endpoint: facts.endpoint?.id,
      method: undefined,
      host: undefined,
      target: undefined,
      protocol: 'tcp',
      status: undefined,
      reason,
      attempts: facts.attempts,
      requestBytes: facts.receivedBytes,
      responseBytes: facts.sentBytes,
      requestId: undefined,
      traceId: undefined,
      auditReason,
      isDenied,
      isCutOff,
    }),
  );
}
