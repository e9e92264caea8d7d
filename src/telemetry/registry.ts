// What /metrics answers: the sums over the arenas of all workers, of those that died, and of the
// control thread, rendered by prom-client as Prometheus text or OpenMetrics. Reading stops nobody:
// workers write on while their cells are read. A rendered page is kept for a second, so that a
// flood of scrapes costs one rendering a second.
import { Registry, collectDefaultMetrics } from 'prom-client';
import type { Gauge, OpenMetricsContentType, PrometheusContentType } from 'prom-client';
import type { Clock } from '../lib/clock.ts';
import { createMeterMemory, labelValues, MeterArena } from './meter-arena.ts';
import type { SeriesDefinition } from './meter-arena.ts';
import { bucketBounds, histogramCells, metricNames, metricTable } from './metric-table.ts';
import type { CounterName, GaugeName, LabelsOf, MetricName } from './metric-table.ts';

export type RegistryOptions = {
  readonly clock: Clock;
  readonly component: 'proxy' | 'controller';
  readonly version: string;
  /** Of Node: `process.versions.node`. */
  readonly nodeVersion: string;
};

export type MetricsPage = { readonly contentType: string; readonly body: string };

/** A series as it is at the moment of a scrape. */
export type Sample<N extends GaugeName | CounterName> = {
  readonly labels: LabelsOf<N>;
  readonly value: number;
};

type Arena = { readonly cells: Float64Array; readonly series: Map<MetricName, SeriesDefinition[]> };
type Sum = { readonly labels: readonly string[]; readonly cells: number[] };
type SampleSource = () => readonly { readonly labels: readonly string[]; readonly value: number }[];
type RenderedValue = {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** Labels that several lines have in common; prom-client renders them once. */
  readonly sharedLabels?: Readonly<Record<string, string>>;
  readonly metricName?: string;
};
/** The part of a prom-client metric that its registry calls. */
type Metric = {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly get: () => Promise<MetricState>;
};
type MetricState = Omit<Metric, 'get'> & { readonly values: readonly RenderedValue[] };
type PromMetric = Gauge; // any of prom-client's classes: registerMetric only looks at `Metric`

/** A page is rendered at most this often. */
const pageKeptMs = 1_000;
const openMetricsType = 'application/openmetrics-text';
/** Resolution of the event loop delay; finer ones wake an idle process more often. */
const loopDelayResolutionMs = 50;

export function createRegistry(options: RegistryOptions): MeterRegistry {
  return new MeterRegistry(options);
}

/** Lives as long as the process; one per process. */
export class MeterRegistry {
  /** The control thread's own series. */
  readonly meters: MeterArena;
  readonly #clock: Clock;
  readonly #own: Arena;
  readonly #arenas = new Map<number, Arena>();
  readonly #retired = new Map<MetricName, Map<string, Sum>>();
  readonly #sources = new Map<MetricName, SampleSource>();
  readonly #text = new Registry<PrometheusContentType>();
  readonly #open = new Registry<OpenMetricsContentType>();
  readonly #pages = new Map<'text' | 'open', { atMs: number; page: Promise<MetricsPage> }>();

  constructor(options: RegistryOptions) {
    this.#clock = options.clock;
    this.#open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const memory = createMeterMemory();
    this.#own = { cells: new Float64Array(memory), series: new Map() };
    this.meters = new MeterArena(memory, (definition) => addSeries(this.#own, definition));
    this.sample('weft_build_info', () => {
      const { version, nodeVersion, component } = options;
      return [{ labels: { version, node_version: nodeVersion, component }, value: 1 }];
    });
    this.sample('weft_metric_series', () => [{ labels: {}, value: this.#seriesCount() }]);
    for (const name of metricNames) this.#register(this.#metricOf(name));
    const machine = new Registry();
    collectDefaultMetrics({
      register: machine,
      eventLoopMonitoringPrecision: loopDelayResolutionMs,
    });
    // Both registries render the same process metrics; each changes the names of what it is given.
    for (const metric of machine.getMetricsAsArray()) this.#register(asMetric(metric));
  }

  /** Memory for the meters of a worker that starts; its predecessor's counts are kept. */
  openArena(worker: number): SharedArrayBuffer {
    this.retireArena(worker);
    const memory = createMeterMemory();
    this.#arenas.set(worker, { cells: new Float64Array(memory), series: new Map() });
    return memory;
  }

  /** Series that the worker has announced. */
  define(worker: number, definitions: readonly SeriesDefinition[]): void {
    const arena = this.#arenas.get(worker);
    if (arena === undefined) return;
    for (const definition of definitions) addSeries(arena, definition);
  }

  /** The worker is gone: its counters and histograms stay in the sums, its gauges do not. */
  retireArena(worker: number): void {
    const arena = this.#arenas.get(worker);
    if (arena === undefined) return;
    this.#arenas.delete(worker);
    for (const name of arena.series.keys()) {
      if (metricTable[name].type === 'gauge') continue;
      const sums = this.#retired.get(name) ?? new Map<string, Sum>();
      this.#retired.set(name, sums);
      addUp(sums, arena, name);
    }
  }

  /**
   * The metric's series are asked for at each scrape: gauges, and counters that somebody else
   * keeps. A later source replaces an earlier one.
   */
  sample<N extends GaugeName | CounterName>(name: N, source: () => readonly Sample<N>[]): void {
    this.#sources.set(name, () =>
      source().map(({ labels, value }) => ({ labels: labelValues(name, labels), value })),
    );
  }

  /** The page for a request with this Accept header. */
  render(accept: string | undefined): Promise<MetricsPage> {
    const format = accept?.includes(openMetricsType) === true ? 'open' : 'text';
    const registry = format === 'open' ? this.#open : this.#text;
    const kept = this.#pages.get(format);
    const nowMs = this.#clock.nowMs();
    if (kept !== undefined && nowMs - kept.atMs < pageKeptMs) return kept.page;
    const page = registry.metrics().then((body) => ({ contentType: registry.contentType, body }));
    this.#pages.set(format, { atMs: nowMs, page });
    return page;
  }

  #register(metric: Metric): void {
    // prom-client's type asks for its own classes; its code for exactly what Metric has.
    this.#text.registerMetric({ ...metric } as unknown as PromMetric);
    const isCounter = metric.type === 'counter';
    // OpenMetrics names a counter without `_total` and prom-client puts it back on each line.
    const name = isCounter ? metric.name.replace(/_total$/, '') : metric.name;
    const get = async () => ({ ...(await metric.get()), name });
    this.#open.registerMetric({ ...metric, name, get } as unknown as PromMetric);
  }

  #metricOf(name: MetricName): Metric {
    const { type, help } = metricTable[name];
    const get = () => Promise.resolve({ name, help, type, values: this.#valuesOf(name) });
    return { name, help, type, get };
  }

  #valuesOf(name: MetricName): RenderedValue[] {
    const sums = this.#sumsOf(name);
    const rendered: RenderedValue[] = [];
    const isHistogram = metricTable[name].type === 'histogram';
    for (const sum of sums.values()) {
      const labels = namedLabels(name, sum.labels);
      if (isHistogram) rendered.push(...histogramValues(name, labels, sum));
      else rendered.push({ labels, value: sum.cells[0] ?? 0 });
    }
    for (const { labels, value } of this.#sources.get(name)?.() ?? []) {
      rendered.push({ labels: namedLabels(name, labels), value });
    }
    return rendered;
  }

  #sumsOf(name: MetricName): Map<string, Sum> {
    const sums = new Map<string, Sum>();
    for (const [key, { labels, cells }] of this.#retired.get(name) ?? []) {
      sums.set(key, { labels, cells: [...cells] });
    }
    for (const arena of [this.#own, ...this.#arenas.values()]) addUp(sums, arena, name);
    return sums;
  }

  #seriesCount(): number {
    let count = 0;
    for (const { series } of [this.#own, ...this.#arenas.values()]) {
      for (const definitions of series.values()) count += definitions.length;
    }
    for (const sums of this.#retired.values()) count += sums.size;
    return count;
  }
}

function addSeries(arena: Arena, definition: SeriesDefinition): void {
  const list = arena.series.get(definition.name);
  if (list === undefined) arena.series.set(definition.name, [definition]);
  else list.push(definition);
}

function addUp(sums: Map<string, Sum>, arena: Arena, name: MetricName): void {
  const width = metricTable[name].type === 'histogram' ? histogramCells : 1;
  for (const { labels, cell } of arena.series.get(name) ?? []) {
    const key = labels.join('\n');
    let sum = sums.get(key);
    if (sum === undefined) {
      sum = { labels, cells: new Array<number>(width).fill(0) };
      sums.set(key, sum);
    }
    for (let index = 0; index < width; index += 1) {
      sum.cells[index] = (sum.cells[index] ?? 0) + (arena.cells[cell + index] ?? 0);
    }
  }
}

function namedLabels(name: MetricName, values: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [index, label] of metricTable[name].labels.entries()) {
    labels[label] = values[index] ?? '';
  }
  return labels;
}

/** Buckets as Prometheus counts them: each holds all that is not above its bound. */
function histogramValues(
  name: MetricName,
  sharedLabels: Record<string, string>,
  sum: Sum,
): RenderedValue[] {
  const values: RenderedValue[] = [];
  let count = 0;
  for (let index = 0; index <= bucketBounds.length; index += 1) {
    count += sum.cells[index] ?? 0;
    const le = bucketBounds[index] ?? '+Inf';
    values.push({ metricName: `${name}_bucket`, labels: { le }, sharedLabels, value: count });
  }
  const total = sum.cells[histogramCells - 1] ?? 0;
  values.push({ metricName: `${name}_sum`, sharedLabels, value: total });
  values.push({ metricName: `${name}_count`, sharedLabels, value: count });
  return values;
}

/** A metric of prom-client without the class: its registry renames what it renders. */
function asMetric(metric: { readonly name: string; readonly help: string }): Metric {
  // MetricObject's type hides `get` and calls `type` an enum; at run time it is the metric itself.
  const whole = metric as unknown as Metric;
  return {
    name: whole.name,
    help: whole.help,
    type: whole.type,
    get: () => whole.get(),
  };
}
