// The UDP series of contract §5, by what they are about: an edge (source → destination) and a
// service. As for HTTP, cells are looked up once and kept: a datagram costs two additions, and a
// flow – which a resolver makes for each question – a few Map look-ups.
import { LabelTree } from './label-tree.ts';
import { defaultSeriesMax } from './meter-arena.ts';
import type { Cell, MeterArena } from './meter-arena.ts';
import type { LabelsOf } from './metric-table.ts';

type UdpEdgeLabels = LabelsOf<'weft_udp_flows_opened_total'>;
type UdpServiceLabels = LabelsOf<'weft_udp_flows_open'>;

export class UdpMeters {
  readonly #arena: MeterArena;
  readonly #edges = new LabelTree<UdpEdgeMeters>(defaultSeriesMax);
  readonly #services = new LabelTree<UdpServiceMeters>(defaultSeriesMax);

  constructor(arena: MeterArena) {
    this.#arena = arena;
  }

  edge(labels: UdpEdgeLabels): UdpEdgeMeters {
    const key = [
      labels.destination_service,
      labels.destination_namespace,
      labels.destination_workload,
      labels.source_namespace,
      labels.source_workload,
    ];
    const known = this.#edges.get(key);
    if (known !== undefined) return known;
    const made = new UdpEdgeMeters(this.#arena, labels);
    this.#edges.set(key, made);
    return made;
  }

  service(labels: UdpServiceLabels): UdpServiceMeters {
    const key = [labels.destination_service, labels.destination_namespace];
    const known = this.#services.get(key);
    if (known !== undefined) return known;
    const made = new UdpServiceMeters(this.#arena, labels);
    this.#services.set(key, made);
    return made;
  }
}

/** From one source to one destination. */
class UdpEdgeMeters {
  readonly #arena: MeterArena;
  readonly #labels: UdpEdgeLabels;
  /** Action and reason → cell. */
  readonly #decisions = new Map<string, Cell>();
  #cells: EdgeCells | undefined;

  constructor(arena: MeterArena, labels: UdpEdgeLabels) {
    this.#arena = arena;
    this.#labels = labels;
  }

  flowOpened(): void {
    this.#arena.add(this.#known().opened, 1);
  }

  received(bytes: number): void {
    const { receivedBytes, received } = this.#known();
    this.#arena.add(receivedBytes, bytes);
    this.#arena.add(received, 1);
  }

  sent(bytes: number): void {
    const { sentBytes, sent } = this.#known();
    this.#arena.add(sentBytes, bytes);
    this.#arena.add(sent, 1);
  }

  /** Policy has judged; the reason is empty where it allows. */
  decided(action: 'allow' | 'deny' | 'audit_deny', reason: string): void {
    const key = `${action} ${reason}`;
    let cell = this.#decisions.get(key);
    if (cell === undefined) {
      const labels = { ...this.#labels, action, reason };
      cell = this.#arena.counter('weft_policy_decisions_total', labels);
      this.#decisions.set(key, cell);
    }
    this.#arena.add(cell, 1);
  }

  /** A pair that is only ever denied has no series of traffic. */
  #known(): EdgeCells {
    this.#cells ??= edgeCells(this.#arena, this.#labels);
    return this.#cells;
  }
}

type EdgeCells = {
  readonly opened: Cell;
  readonly receivedBytes: Cell;
  readonly sentBytes: Cell;
  readonly received: Cell;
  readonly sent: Cell;
};

function edgeCells(arena: MeterArena, labels: UdpEdgeLabels): EdgeCells {
  return {
    opened: arena.counter('weft_udp_flows_opened_total', labels),
    receivedBytes: arena.counter('weft_udp_received_bytes_total', labels),
    sentBytes: arena.counter('weft_udp_sent_bytes_total', labels),
    received: arena.counter('weft_udp_received_datagrams_total', labels),
    sent: arena.counter('weft_udp_sent_datagrams_total', labels),
  };
}

/** A service that datagrams are for. */
class UdpServiceMeters {
  readonly #arena: MeterArena;
  readonly #labels: UdpServiceLabels;
  readonly #dropped = new Map<string, Cell>();
  readonly #closed = new Map<string, Cell>();
  readonly #open: Cell;

  constructor(arena: MeterArena, labels: UdpServiceLabels) {
    this.#arena = arena;
    this.#labels = labels;
    this.#open = arena.gauge('weft_udp_flows_open', labels);
  }

  flowOpened(): void {
    this.#arena.add(this.#open, 1);
  }

  flowClosed(reason: string): void {
    this.#arena.add(this.#open, -1);
    let cell = this.#closed.get(reason);
    if (cell === undefined) {
      const labels = { ...this.#labels, reason };
      cell = this.#arena.counter('weft_udp_flows_closed_total', labels);
      this.#closed.set(reason, cell);
    }
    this.#arena.add(cell, 1);
  }

  dropped(reason: string): void {
    let cell = this.#dropped.get(reason);
    if (cell === undefined) {
      const labels = { ...this.#labels, reason };
      cell = this.#arena.counter('weft_udp_dropped_datagrams_total', labels);
      this.#dropped.set(reason, cell);
    }
    this.#arena.add(cell, 1);
  }
}
