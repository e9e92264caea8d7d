// The access log: which exchanges get a line, what a line looks like, and the bounded ring
// between the exchange and the writer. A line is one JSON object without bodies, cookies,
// credentials or query strings; whatever a client sends, it stays one line and parses. A full
// ring drops and counts.

/** What is known when an exchange has ended. Absent = unknown or not applicable. */
export type AccessRecord = {
  /** Milliseconds since the epoch at which the request's head was complete. */
  readonly timeMs: number;
  readonly durationMs: number;
  /** Empty for an unauthenticated source. */
  readonly sourceNamespace: string;
  readonly sourceWorkload: string;
  readonly sourceAddress: string;
  readonly destinationNamespace: string;
  readonly destinationService: string;
  readonly destinationWorkload: string;
  /** `ip:port` of the endpoint that answered. */
  readonly endpoint: string | undefined;
  /** These three are a request's; a connection whose bytes nobody reads has none. */
  readonly method: string | undefined;
  readonly host: string | undefined;
  /** As sent; what follows `?` is cut off here. */
  readonly target: string | undefined;
  readonly protocol: string;
  /** Status that the client got; 0 when it left before one. */
  readonly status: number | undefined;
  /** Of a call of gRPC. */
  readonly grpcStatus?: number | 'unknown' | undefined;
  /** `weft-reason`, when the answer is ours or was cut off. */
  readonly reason: string | undefined;
  readonly attempts: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly requestId: string | undefined;
  readonly traceId: string | undefined;
  /** What `enforce` would have refused it for; it was served, for its namespace only audits. */
  readonly auditReason: string | undefined;
  /** Policy refused it, or would have under `enforce`. */
  readonly isDenied: boolean;
  /** The response did not end as its framing promised, or the client left. */
  readonly isCutOff: boolean;
};

export type AccessLogMode =
  | { readonly kind: 'off' | 'denied' | 'errors' | 'all' }
  | { readonly kind: 'sample'; readonly every: number };

/** `off|denied|errors|all|sample:1/N`, or `undefined`. */
export function parseAccessLogMode(text: string): AccessLogMode | undefined {
  if (text === 'off' || text === 'denied' || text === 'errors' || text === 'all') {
    return { kind: text };
  }
  const every = /^sample:1\/([1-9][0-9]{0,8})$/.exec(text)?.[1];
  return every === undefined ? undefined : { kind: 'sample', every: Number(every) };
}

/** What the mode depends on; part of an AccessRecord. */
export type AccessFacts = Pick<AccessRecord, 'isDenied' | 'isCutOff'> & {
  readonly status: number;
};

/** Whether an exchange gets a line. `random` in [0, 1) decides samples. */
export function wantsAccessLine(mode: AccessLogMode, facts: AccessFacts, random: number): boolean {
  switch (mode.kind) {
    case 'off':
      return false;
    case 'all':
      return true;
    case 'denied':
      return facts.isDenied;
    case 'errors':
      return facts.status >= 500 || facts.status === 429 || facts.isDenied || facts.isCutOff;
    case 'sample':
      return random * mode.every < 1;
  }
}

/** Longest text of one field (reference: fields ≤ 1 kB). */
const fieldCharsMax = 1_000;

/** One JSON object, without a line feed. */
export function formatAccessLine(record: AccessRecord): string {
  const text = JSON.stringify({
    time: new Date(record.timeMs).toISOString(),
    source_namespace: record.sourceNamespace,
    source_workload: record.sourceWorkload,
    source_address: record.sourceAddress,
    destination_namespace: record.destinationNamespace,
    destination_service: record.destinationService,
    destination_workload: record.destinationWorkload,
    endpoint: record.endpoint,
    method: bounded(record.method),
    host: bounded(record.host),
    path: bounded(record.target?.split('?', 1)[0]),
    protocol: record.protocol,
    status: record.status,
    grpc_status: record.grpcStatus,
    reason: record.reason,
    audit_deny: record.auditReason,
    attempts: record.attempts,
    duration_ms: Math.round(record.durationMs * 1000) / 1000,
    request_bytes: record.requestBytes,
    response_bytes: record.responseBytes,
    request_id: bounded(record.requestId),
    trace_id: bounded(record.traceId),
  });
  return escapeLine(text);
}

function bounded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return text.length <= fieldCharsMax ? text : `${text.slice(0, fieldCharsMax)}…`;
}

/**
 * JSON leaves DEL, C1 controls, and the line separators U+2028 and U+2029 as they are; terminals
 * and log shippers take some of them for commands or for line ends.
 */
export function escapeLine(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What was taken out of a ring. */
export type AccessLogBatch = { readonly lines: readonly string[]; readonly dropped: number };

/** At most this many lines wait in a worker; one in flood loses lines, not memory. */
const ringLinesMax = 2_048;

/** Lines of one worker on their way to the control thread. */
export class AccessLogRing {
  readonly #linesMax: number;
  #lines: string[] = [];
  #dropped = 0;

  constructor(linesMax = ringLinesMax) {
    this.#linesMax = linesMax;
  }

  push(line: string): void {
    if (this.#lines.length < this.#linesMax) this.#lines.push(line);
    else this.#dropped += 1;
  }

  /** Empties the ring; `undefined` when there is nothing to tell. */
  take(): AccessLogBatch | undefined {
    if (this.#lines.length === 0 && this.#dropped === 0) return undefined;
    const batch = { lines: this.#lines, dropped: this.#dropped };
    this.#lines = [];
    this.#dropped = 0;
    return batch;
  }
}
