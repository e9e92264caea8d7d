// The HTTP series of contract §5, by what they are about: an edge (source → destination), a
// workload that answers, a service. Cells are looked up once and kept, so that counting an exchange
// costs a few Map look-ups and additions (0.7 µs, where finding five series by label sets costs
// 20 µs and more: a forwarded request as a whole has a budget of 7).
import { defaultSeriesMax } from './meter-arena.ts';
import type { Cell, MeterArena } from './meter-arena.ts';
import { LabelTree } from './label-tree.ts';
import { methodLabel } from './metric-table.ts';
import type { LabelsOf } from './metric-table.ts';

export type ServiceLabels = LabelsOf<'weft_http_requests_in_flight'>;
export type WorkloadLabels = Omit<LabelsOf<'weft_http_attempts_total'>, 'code'>;
export type EdgeLabels = Omit<LabelsOf<'weft_http_request_duration_seconds'>, 'protocol'>;

export class HttpMeters {
  readonly #arena: MeterArena;
  readonly #protocol: string;
  readonly #edges = new LabelTree<EdgeMeters>(defaultSeriesMax);
  readonly #workloads = new LabelTree<WorkloadMeters>(defaultSeriesMax);
  readonly #services = new LabelTree<ServiceMeters>(defaultSeriesMax);

  constructor(arena: MeterArena, protocol: string) {
    this.#arena = arena;
    this.#protocol = protocol;
  }

  edge(labels: EdgeLabels): EdgeMeters {
    const key = [
      labels.destination_service,
      labels.destination_namespace,
      labels.destination_workload,
      labels.source_namespace,
      labels.source_workload,
    ];
    const known = this.#edges.get(key);
    if (known !== undefined) return known;
    const made = new EdgeMeters(this.#arena, labels, this.#protocol);
    this.#edges.set(key, made);
    return made;
  }

  workload(labels: WorkloadLabels): WorkloadMeters {
    const { destination_service, destination_namespace, destination_workload } = labels;
    const key = [destination_service, destination_namespace, destination_workload];
    const known = this.#workloads.get(key);
    if (known !== undefined) return known;
    const made = new WorkloadMeters(this.#arena, labels);
    this.#workloads.set(key, made);
    return made;
  }

  service(labels: ServiceLabels): ServiceMeters {
    const key = [labels.destination_service, labels.destination_namespace];
    const known = this.#services.get(key);
    if (known !== undefined) return known;
    const made = new ServiceMeters(this.#arena, labels);
    this.#services.set(key, made);
    return made;
  }
}

/** From one source to one destination. */
export class EdgeMeters {
  readonly #arena: MeterArena;
  readonly #labels: EdgeLabels;
  readonly #protocol: string;
  /** Method → status → cell; both are bounded: registered methods, three digits. */
  readonly #requests = new Map<string, Map<number, Cell>>();
  readonly #calls = new Map<number | 'unknown', Cell>();
  /** Action → reason → cell. */
  readonly #decisions = new Map<string, Map<string, Cell>>();
  /** What was counted last: most exchanges of an edge end like the one before. */
  readonly #lastRequest: Recent<string, number> = { first: '', second: -1, cell: 0 };
  readonly #lastDecision: Recent<string, string> = { first: '', second: '', cell: 0 };
  #duration: Cell | undefined;

  constructor(arena: MeterArena, labels: EdgeLabels, protocol: string) {
    this.#arena = arena;
    this.#labels = labels;
    this.#protocol = protocol;
  }

  /** An exchange has ended with this status (0 = none). */
  finished(method: string, status: number, seconds: number): void {
    const arena = this.#arena;
    const last = this.#lastRequest;
    if (last.first !== method || last.second !== status) {
      keep(last, method, status, this.#request(methodLabel(method), status));
    }
    arena.add(last.cell, 1);
    this.#duration ??= this.#histogram();
    arena.observe(this.#duration, seconds);
  }

  /** A call of gRPC has ended with this status. */
  called(grpcStatus: number | 'unknown'): void {
    let cell = this.#calls.get(grpcStatus);
    if (cell === undefined) {
      const labels = { ...this.#labels, grpc_status: String(grpcStatus) };
      cell = this.#arena.counter('weft_grpc_calls_total', labels);
      this.#calls.set(grpcStatus, cell);
    }
    this.#arena.add(cell, 1);
  }

  /** Policy has judged; the reason is empty where it allows. */
  decided(action: 'allow' | 'deny' | 'audit_deny', reason: string): void {
    const last = this.#lastDecision;
    if (last.first !== action || last.second !== reason) {
      keep(last, action, reason, this.#decision(action, reason));
    }
    this.#arena.add(last.cell, 1);
  }

  #request(method: string, status: number): Cell {
    const labels = { ...this.#labels, protocol: this.#protocol, method, code: String(status) };
    return cellOf(this.#requests, method, status, () =>
      this.#arena.counter('weft_http_requests_total', labels),
    );
  }

  #decision(action: string, reason: string): Cell {
    return cellOf(this.#decisions, action, reason, () =>
      this.#arena.counter('weft_policy_decisions_total', { ...this.#labels, action, reason }),
    );
  }

  #histogram(): Cell {
    const labels = { ...this.#labels, protocol: this.#protocol };
    return this.#arena.histogram('weft_http_request_duration_seconds', labels);
  }
}

type Recent<A, B> = { first: A; second: B; cell: Cell };

function keep<A, B>(last: Recent<A, B>, first: A, second: B, cell: Cell): void {
  last.first = first;
  last.second = second;
  last.cell = cell;
}

/** A workload that answers. */
export class WorkloadMeters {
  readonly #arena: MeterArena;
  readonly #labels: WorkloadLabels;
  readonly #attempts = new Map<number, Cell>();
  /** By grpc-status. */
  readonly #answers = new Map<number, Cell>();
  #duration: Cell | undefined;

  constructor(arena: MeterArena, labels: WorkloadLabels) {
    this.#arena = arena;
    this.#labels = labels;
  }

  /** Its series exist, at zero, before the first try (contract §5). */
  announce(): void {
    this.#arena.add(this.#attempt(200), 0);
    this.#duration ??= this.#arena.histogram('weft_http_attempt_duration_seconds', this.#labels);
  }

  /** One try at one of its endpoints has ended. */
  attempted(status: number, seconds: number): void {
    const arena = this.#arena;
    arena.add(this.#attempt(status), 1);
    this.#duration ??= arena.histogram('weft_http_attempt_duration_seconds', this.#labels);
    arena.observe(this.#duration, seconds);
  }

  /** It was a call of gRPC, and has its answer. */
  answeredCall(grpcStatus: number): void {
    let cell = this.#answers.get(grpcStatus);
    if (cell === undefined) {
      const labels = { ...this.#labels, grpc_status: String(grpcStatus) };
      cell = this.#arena.counter('weft_grpc_attempts_total', labels);
      this.#answers.set(grpcStatus, cell);
    }
    this.#arena.add(cell, 1);
  }

  #attempt(status: number): Cell {
    const known = this.#attempts.get(status);
    if (known !== undefined) return known;
    const labels = { ...this.#labels, code: String(status) };
    const cell = this.#arena.counter('weft_http_attempts_total', labels);
    this.#attempts.set(status, cell);
    return cell;
  }
}

/** A service that is called. */
export class ServiceMeters {
  readonly #arena: MeterArena;
  readonly #labels: ServiceLabels;
  readonly #inFlight: Cell;
  /** Outcome → cell. */
  readonly #copied = new Map<string, Cell>();

  constructor(arena: MeterArena, labels: ServiceLabels) {
    this.#arena = arena;
    this.#labels = labels;
    this.#inFlight = arena.gauge('weft_http_requests_in_flight', labels);
  }

  /** +1 when an exchange begins, -1 when it ends. */
  inFlight(change: 1 | -1): void {
    this.#arena.add(this.#inFlight, change);
  }

  retried(outcome: string): void {
    const labels = { ...this.#labels, outcome };
    this.#arena.add(this.#arena.counter('weft_retries_total', labels), 1);
  }

  hedged(outcome: string): void {
    const labels = { ...this.#labels, outcome };
    this.#arena.add(this.#arena.counter('weft_hedges_total', labels), 1);
  }

  endpointEjected(): void {
    this.#arena.add(this.#arena.counter('weft_endpoint_ejections_total', this.#labels), 1);
  }

  rateLimited(): void {
    this.#arena.add(this.#arena.counter('weft_rate_limited_total', this.#labels), 1);
  }

  faultInjected(fault: 'abort' | 'delay'): void {
    const labels = { ...this.#labels, fault };
    this.#arena.add(this.#arena.counter('weft_faults_injected_total', labels), 1);
  }

  /** A copy of another service's request to this one has ended. */
  copied(outcome: string): void {
    let cell = this.#copied.get(outcome);
    if (cell === undefined) {
      const labels = { ...this.#labels, outcome };
      cell = this.#arena.counter('weft_mirrored_requests_total', labels);
      this.#copied.set(outcome, cell);
    }
    this.#arena.add(cell, 1);
  }

  retryBudgetExhausted(): void {
    this.#arena.add(this.#arena.counter('weft_retry_budget_exhausted_total', this.#labels), 1);
  }
}

/** The cell at (first, second), made when it is new. */
function cellOf<A, B>(cells: Map<A, Map<B, Cell>>, first: A, second: B, make: () => Cell): Cell {
  let row = cells.get(first);
  if (row === undefined) {
    row = new Map();
    cells.set(first, row);
  }
  let cell = row.get(second);
  if (cell === undefined) {
    cell = make();
    row.set(second, cell);
  }
  return cell;
}
