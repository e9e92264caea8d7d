// Every metric of the mesh: name, type, help and labels, in one table. Worker and control thread
// count by it, the registry renders by it, and docs/reference/metrics.md is generated from it. No
// label takes its value from a path, a host, a header or an address (contract §5): the numbers of
// series are bounded by what the cluster's objects name.

export type MetricType = 'counter' | 'gauge' | 'histogram';

type MetricSpec = {
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
};

const source = ['source_namespace', 'source_workload'] as const;
const service = ['destination_namespace', 'destination_service'] as const;
const destination = [
  'destination_namespace',
  'destination_workload',
  'destination_service',
] as const;

export const metricTable = {
  weft_http_requests_total: {
    type: 'counter',
    help: 'HTTP exchanges by their final outcome, counted once by the proxy of the source',
    labels: [...source, ...destination, 'method', 'code', 'protocol'],
  },
  weft_http_request_duration_seconds: {
    type: 'histogram',
    help: 'Time from the head of an HTTP request to the last byte of its response',
    labels: [...source, ...destination, 'protocol'],
  },
  weft_grpc_calls_total: {
    type: 'counter',
    help: 'Calls of gRPC, of the HTTP exchanges, by grpc-status: 0 to 16, or unknown for none',
    labels: [...source, ...destination, 'grpc_status'],
  },
  weft_http_requests_in_flight: {
    type: 'gauge',
    help: 'HTTP exchanges that have begun and not ended',
    labels: service,
  },
  weft_http_attempts_total: {
    type: 'counter',
    help: 'Tries at an endpoint, retries among them, by their own outcome',
    labels: [...destination, 'code'],
  },
  weft_grpc_attempts_total: {
    type: 'counter',
    help:
      'Tries of gRPC calls that a pod has answered, by grpc-status, 0 to 16; their HTTP code ' +
      'is 200 however the call went',
    labels: [...destination, 'grpc_status'],
  },
  weft_http_attempt_duration_seconds: {
    type: 'histogram',
    help: 'Time of one try at an endpoint',
    labels: destination,
  },
  weft_policy_decisions_total: {
    type: 'counter',
    help: 'Verdicts of policy: allow, deny, or audit_deny for what enforce would deny',
    labels: [...source, ...destination, 'action', 'reason'],
  },
  weft_udp_flows_opened_total: {
    type: 'counter',
    help: 'Flows of datagrams (client address and port) that were given a pod',
    labels: [...source, ...destination],
  },
  weft_udp_flows_closed_total: {
    type: 'counter',
    help: 'Flows of datagrams that ended, by why: idle, evicted, unreachable, moved, policy, …',
    labels: [...service, 'reason'],
  },
  weft_udp_flows_open: {
    type: 'gauge',
    help: 'Flows of datagrams that have begun and not ended',
    labels: service,
  },
  weft_udp_received_bytes_total: {
    type: 'counter',
    help: 'Bytes of datagrams from clients that went to pods',
    labels: [...source, ...destination],
  },
  weft_udp_sent_bytes_total: {
    type: 'counter',
    help: 'Bytes of datagrams from pods that went to clients',
    labels: [...source, ...destination],
  },
  weft_udp_received_datagrams_total: {
    type: 'counter',
    help: 'Datagrams from clients that went to pods',
    labels: [...source, ...destination],
  },
  weft_udp_sent_datagrams_total: {
    type: 'counter',
    help: 'Datagrams from pods that went to clients',
    labels: [...source, ...destination],
  },
  weft_udp_dropped_datagrams_total: {
    type: 'counter',
    help: 'Datagrams that went nowhere, by why: refused, or a limit was reached',
    labels: [...service, 'reason'],
  },
  weft_retries_total: {
    type: 'counter',
    help: 'Retries by what came of them',
    labels: [...service, 'outcome'],
  },
  weft_http_rejected_total: {
    type: 'counter',
    help: 'Requests that were malformed or over a limit, and so never became an exchange',
    labels: ['reason'],
  },
  weft_tcp_connections_opened_total: {
    type: 'counter',
    help: 'TCP connections that a pod has taken, counted once by the proxy of the source',
    labels: [...source, ...destination],
  },
  weft_tcp_connections_open: {
    type: 'gauge',
    help: 'TCP connections that are open',
    labels: [...source, ...destination],
  },
  weft_tcp_connections_refused_total: {
    type: 'counter',
    help: 'TCP connections that were reset before a byte of them passed, by why',
    labels: [...service, 'reason'],
  },
  weft_tcp_received_bytes_total: {
    type: 'counter',
    help: 'Bytes of TCP connections that came from the source; told once a second',
    labels: [...source, ...destination],
  },
  weft_tcp_sent_bytes_total: {
    type: 'counter',
    help: 'Bytes of TCP connections that went to the source; told once a second',
    labels: [...source, ...destination],
  },
  weft_retry_budget_exhausted_total: {
    type: 'counter',
    help: 'Retries and hedges that were allowed by their rules and refused by the budget',
    labels: service,
  },
  weft_hedges_total: {
    type: 'counter',
    help: 'Second attempts beside a slow one: the answer was theirs (won), or not (lost, failed)',
    labels: [...service, 'outcome'],
  },
  weft_rate_limited_total: {
    type: 'counter',
    help: 'HTTP exchanges refused with 429, counted by the proxy of the source',
    labels: service,
  },
  weft_faults_injected_total: {
    type: 'counter',
    help: 'HTTP exchanges that weft.dev/fault has refused (abort) or held up (delay)',
    labels: [...service, 'fault'],
  },
  weft_mirrored_requests_total: {
    type: 'counter',
    help:
      'Copies of requests to this service (weft.dev/mirror): answered, failed, timeout, denied, ' +
      'refused, too_large, over_budget, incomplete',
    labels: [...service, 'outcome'],
  },
  weft_endpoint_ejections_total: {
    type: 'counter',
    help: 'Endpoints that were taken out for a while because they failed',
    labels: service,
  },
  weft_endpoints_checked_out: {
    type: 'gauge',
    help: 'Pods of this node whose active checks (weft.dev/health-check) fail',
    labels: service,
  },
  weft_circuit_state: {
    type: 'gauge',
    help: 'Circuit breaker of a service: 0 closed, 1 half-open, 2 open',
    labels: service,
  },
  weft_access_log_dropped_total: {
    type: 'counter',
    help: 'Access log lines that were dropped because the ring was full',
    labels: [],
  },
  weft_config_version_info: {
    type: 'gauge',
    help: 'Always 1; the label is the hash of the configuration in force, equal on nodes in step',
    labels: ['version'],
  },
  weft_config_applied_seconds: {
    type: 'histogram',
    help: 'Time from an event of the API server to the new table being live in every worker',
    labels: [],
  },
  weft_config_age_seconds: {
    type: 'gauge',
    help: 'Time since the API server was last heard',
    labels: [],
  },
  weft_watch_relists_total: {
    type: 'counter',
    help: 'Lists that were read anew because a watch could not go on',
    labels: ['kind'],
  },
  weft_worker_restarts_total: {
    type: 'counter',
    help: 'Data-plane workers that died and were replaced',
    labels: [],
  },
  weft_worker_direct_sockets: {
    type: 'gauge',
    help: '1 = the worker drives its sockets directly; 0 = through the slower streams of Node',
    labels: ['worker'],
  },
  weft_leader: {
    type: 'gauge',
    help: '1 on the controller replica that holds the Lease and writes',
    labels: [],
  },
  weft_problems: {
    type: 'gauge',
    help: 'Defects in objects that a user can fix; each is listed under /debug/problems',
    labels: ['kind', 'reason'],
  },
  weft_certificates_issued_total: {
    type: 'counter',
    help: 'Certificates that this controller has signed',
    labels: [],
  },
  weft_certificate_denials_total: {
    type: 'counter',
    help: 'Certificate requests that this controller has denied, or failed where others approved',
    labels: ['reason'],
  },
  weft_certificate_requests_total: {
    type: 'counter',
    help: 'Certificates that this proxy has asked for: issued, or why not',
    labels: ['result'],
  },
  weft_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    help: 'When the certificate that this proxy holds for an identity expires (Unix time)',
    labels: ['identity'],
  },
  weft_tunnel_handshakes_total: {
    type: 'counter',
    help: 'Handshakes of tunnels between nodes, by side (client or server) and outcome',
    labels: ['side', 'result'],
  },
  weft_tunnels_open: {
    type: 'gauge',
    help: 'Tunnels between nodes that are open, by side (client or server)',
    labels: ['side'],
  },
  weft_plain_requests_total: {
    type: 'counter',
    help: 'Tries at pods of other nodes, or outside, for which no tunnel was due, by why',
    labels: ['reason'],
  },
  weft_sources_disputed: {
    type: 'gauge',
    help: 'Addresses of pods that are nobody: another pod or the neighbour table disputes them',
    labels: [],
  },
  weft_trust_expiry_timestamp_seconds: {
    type: 'gauge',
    help: 'When a root of the trust bundle, by the start of its fingerprint, expires (Unix time)',
    labels: ['root'],
  },
  weft_trust_phase: {
    type: 'gauge',
    help: '1 for the phase in which the rotation of the root is; steady: there is none',
    labels: ['phase'],
  },
  weft_bugs_total: {
    type: 'counter',
    help: 'Faults of weft itself; each is logged',
    labels: [],
  },
  weft_metric_series: {
    type: 'gauge',
    help: 'Series that this process holds, before those of its workers are added up',
    labels: [],
  },
  weft_metric_series_dropped_total: {
    type: 'counter',
    help: 'Look-ups of series past the limit; they are counted in a series labelled overflow',
    labels: [],
  },
  weft_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels say what runs',
    labels: ['version', 'node_version', 'component'],
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof metricTable;

type NamesOf<T extends MetricType> = {
  [N in MetricName]: (typeof metricTable)[N]['type'] extends T ? N : never;
}[MetricName];

export type CounterName = NamesOf<'counter'>;
export type GaugeName = NamesOf<'gauge'>;
export type HistogramName = NamesOf<'histogram'>;

/** One value for each label of the metric, by name. */
export type LabelsOf<N extends MetricName> = {
  readonly [L in (typeof metricTable)[N]['labels'][number]]: string;
};

/** All names, in the order of the table. */
export const metricNames = Object.keys(metricTable) as MetricName[]; // keys of a literal we own

/** Upper bounds of the duration buckets in seconds: 1 ms to 10 s (contract §5). */
export const bucketBounds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Cells of a histogram: one per bucket (not cumulative), the one past the last, and the sum. */
export const histogramCells = bucketBounds.length + 2;

/** Value of every label of the series that stands for all those past the limit. */
export const overflowLabel = 'overflow';

const knownMethods: ReadonlySet<string> = new Set([
  'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT',
]);

/** The `method` label: a client can send any token, so all but the registered ones are `OTHER`. */
export function methodLabel(method: string): string {
  return knownMethods.has(method) ? method : 'OTHER';
}
