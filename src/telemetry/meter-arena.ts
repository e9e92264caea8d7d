// Counting, as cheap as adding to an array: each worker owns one piece of shared memory full of
// float64 cells, is its only writer, and so needs no atomics; the control thread reads it when
// somebody asks for /metrics. A read may be one addition behind, never torn: aligned 8-byte loads
// are whole on every platform that Node runs on. The number of series is capped; past the cap
// counts go to one series per metric whose labels are all `overflow`, so totals stay right (A9).
import { assert } from '../lib/assert.ts';
import {
  bucketBounds,
  histogramCells,
  metricNames,
  metricTable,
  overflowLabel,
} from './metric-table.ts';
import type {
  CounterName,
  GaugeName,
  HistogramName,
  LabelsOf,
  MetricName,
} from './metric-table.ts';

/** A series as the control thread gets to know it; plain data. */
export type SeriesDefinition = {
  readonly name: MetricName;
  /** Values in the order of the metric's labels. */
  readonly labels: readonly string[];
  /** Index of its first cell. */
  readonly cell: number;
};

/** Index of a cell, or of the first one of a histogram. */
export type Cell = number;

/** Rendering 10 000 series is what a scrape may cost; a node has a few hundred edges. */
export const defaultSeriesMax = 10_000;

/** Memory in which any mix of `seriesMax` series has room (1.2 MB for the default). */
export function createMeterMemory(seriesMax = defaultSeriesMax): SharedArrayBuffer {
  const series = seriesMax + metricNames.length;
  return new SharedArrayBuffer(series * histogramCells * Float64Array.BYTES_PER_ELEMENT);
}

/** One per worker, and one for the control thread. The memory must be fresh (all zero). */
export class MeterArena {
  readonly #cells: Float64Array;
  readonly #announce: (definition: SeriesDefinition) => void;
  readonly #series = new Map<string, Cell>();
  readonly #overflow = new Map<MetricName, Cell>();
  readonly #seriesMax: number;
  readonly #droppedCell: Cell;
  #nextCell = 0;

  constructor(memory: SharedArrayBuffer, announce: (definition: SeriesDefinition) => void) {
    this.#cells = new Float64Array(memory);
    this.#announce = announce;
    this.#seriesMax = Math.floor(this.#cells.length / histogramCells) - metricNames.length;
    assert(this.#seriesMax > 0, 'meter memory is too small');
    this.#droppedCell = this.counter('weft_metric_series_dropped_total', {});
  }

  /** The cell of a counter; made, at zero, when it is new. Callers keep it. */
  counter<N extends CounterName>(name: N, labels: LabelsOf<N>): Cell {
    return this.#find(name, labels);
  }

  gauge<N extends GaugeName>(name: N, labels: LabelsOf<N>): Cell {
    return this.#find(name, labels);
  }

  /** First cell of a histogram of seconds. */
  histogram<N extends HistogramName>(name: N, labels: LabelsOf<N>): Cell {
    return this.#find(name, labels);
  }

  /** Adds to a counter or gauge. */
  add(cell: Cell, amount: number): void {
    this.#cells[cell] = (this.#cells[cell] ?? 0) + amount;
  }

  /** Sets a gauge. */
  set(cell: Cell, value: number): void {
    this.#cells[cell] = value;
  }

  /** Records a duration. Negative ones (no clock of ours makes them) count as zero. */
  observe(first: Cell, seconds: number): void {
    const value = seconds > 0 ? seconds : 0;
    const cells = this.#cells;
    let low = 0;
    let high = bucketBounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= (bucketBounds[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    cells[first + low] = (cells[first + low] ?? 0) + 1;
    const sum = first + histogramCells - 1;
    cells[sum] = (cells[sum] ?? 0) + value;
  }

  #find<N extends MetricName>(name: N, labels: LabelsOf<N>): Cell {
    const key = seriesKey(name, labels);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= this.#seriesMax) return this.#overflowCell(name);
    const cell = this.#define(name, labelValues(name, labels));
    this.#series.set(key, cell);
    return cell;
  }

  #overflowCell(name: MetricName): Cell {
    this.add(this.#droppedCell, 1);
    let cell = this.#overflow.get(name);
    if (cell === undefined) {
      cell = this.#define(name, metricTable[name].labels.map(() => overflowLabel));
      this.#overflow.set(name, cell);
    }
    return cell;
  }

  #define(name: MetricName, labels: readonly string[]): Cell {
    const cell = this.#nextCell;
    this.#nextCell += metricTable[name].type === 'histogram' ? histogramCells : 1;
    assert(this.#nextCell <= this.#cells.length, 'meter memory is full');
    this.#announce({ name, labels, cell });
    return cell;
  }
}

/** No name of a Kubernetes object, method or reason holds a line feed. */
function seriesKey<N extends MetricName>(name: N, labels: LabelsOf<N>): string {
  const given = labels as Readonly<Record<string, string>>; // as in labelValues
  let key: string = name;
  for (const label of metricTable[name].labels) key += `\n${given[label] ?? ''}`;
  return key;
}

/** Label values in the order of the table. */
export function labelValues<N extends MetricName>(name: N, labels: LabelsOf<N>): string[] {
  // The labels of N are exactly the names in the table; TypeScript cannot follow that through N.
  const given = labels as Readonly<Record<string, string>>;
  return metricTable[name].labels.map((label) => given[label] ?? '');
}
