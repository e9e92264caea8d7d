// A Grafana dashboard on the metrics of the mesh: traffic by service, then the mesh itself. The
// data source is a variable, no plugin is needed, and nothing is random: the same build gives the
// same bytes.
import type { Json, JsonMap } from './json.ts';

type Panel = {
  readonly title: string;
  readonly unit: string;
  /** PromQL and the legend of each series. */
  readonly queries: readonly (readonly [expression: string, legend: string])[];
};

const chosen = '{destination_namespace=~"$namespace", destination_service=~"$service"}';
const failed = chosen.replace('}', ', code=~"5.."}');
const edge = 'destination_namespace, destination_service';
const edgeLegend = '{{destination_namespace}}/{{destination_service}}';

function quantile(share: number, metric: string): string {
  const buckets = `sum by (le) (rate(${metric}_bucket${chosen}[$__rate_interval]))`;
  return `histogram_quantile(${share}, ${buckets})`;
}

function rate(by: string, metric: string, matchers: string): string {
  return `sum by (${by}) (rate(${metric}${matchers}[$__rate_interval]))`;
}

const duration = 'weft_http_request_duration_seconds';

const panels: readonly Panel[] = [
  {
    title: 'Requests by service',
    unit: 'reqps',
    queries: [[rate(edge, 'weft_http_requests_total', chosen), edgeLegend]],
  },
  {
    title: 'Share of requests that fail (5xx)',
    unit: 'percentunit',
    queries: [
      [
        `${rate(edge, 'weft_http_requests_total', failed)} / ` +
          rate(edge, 'weft_http_requests_total', chosen),
        edgeLegend,
      ],
    ],
  },
  {
    title: 'Duration',
    unit: 's',
    queries: [
      [quantile(0.5, duration), 'p50'],
      [quantile(0.95, duration), 'p95'],
      [quantile(0.99, duration), 'p99'],
    ],
  },
  {
    title: 'Requests by workload: what a split really does',
    unit: 'reqps',
    queries: [
      [
        rate('destination_workload', 'weft_http_attempts_total', chosen),
        '{{destination_workload}}',
      ],
    ],
  },
  {
    title: 'Denied, and what enforce would deny',
    unit: 'reqps',
    queries: [
      [
        'sum by (action, reason, source_namespace, source_workload) (rate(' +
          `weft_policy_decisions_total${chosen.replace('}', ', action!="allow"}')}` +
          '[$__rate_interval]))',
        '{{action}} {{source_namespace}}/{{source_workload}} {{reason}}',
      ],
    ],
  },
  {
    title: 'Retries',
    unit: 'reqps',
    queries: [[rate('outcome', 'weft_retries_total', chosen), '{{outcome}}']],
  },
  {
    title: 'In flight',
    unit: 'short',
    queries: [[`sum by (${edge}) (weft_http_requests_in_flight${chosen})`, edgeLegend]],
  },
  {
    title: 'Proxies by version of the configuration',
    unit: 'short',
    queries: [['count by (version) (weft_config_version_info)', '{{version}}']],
  },
  {
    title: 'Time since the API server was heard',
    unit: 's',
    queries: [['max by (pod) (weft_config_age_seconds)', '{{pod}}']],
  },
  {
    title: 'Problems of objects',
    unit: 'short',
    queries: [['sum by (kind, reason) (weft_problems)', '{{kind}} {{reason}}']],
  },
  {
    title: 'Memory',
    unit: 'bytes',
    queries: [['process_resident_memory_bytes{pod=~"weft-.*"}', '{{pod}}']],
  },
  {
    title: 'CPU',
    unit: 'short',
    queries: [
      ['rate(process_cpu_seconds_total{pod=~"weft-.*"}[$__rate_interval])', '{{pod}}'],
    ],
  },
];

const source: JsonMap = { type: 'prometheus', uid: '${datasource}' };
const columns = 2;
const width = 24 / columns;
const height = 8;

function panelJson({ title, unit, queries }: Panel, index: number): Json {
  return {
    id: index + 1,
    title,
    type: 'timeseries',
    datasource: source,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    gridPos: {
      h: height,
      w: width,
      x: (index % columns) * width,
      y: Math.floor(index / columns) * height,
    },
    options: { legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull'] } },
    targets: queries.map(([expr, legendFormat], at) => ({
      refId: String.fromCharCode(65 + at),
      datasource: source,
      expr,
      legendFormat,
    })),
  };
}

function variable(name: string, query: string): Json {
  return {
    name,
    type: 'query',
    datasource: source,
    query: { query, refId: name },
    refresh: 2,
    includeAll: true,
    multi: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  };
}

/** The dashboard as Grafana imports it. */
export function dashboardJson(): string {
  const services = 'weft_http_requests_total{destination_namespace=~"$namespace"}';
  const dashboard = {
    uid: 'weft',
    title: 'weft',
    tags: ['weft', 'service-mesh'],
    schemaVersion: 39,
    editable: true,
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus' },
        variable('namespace', 'label_values(weft_http_requests_total, destination_namespace)'),
        variable('service', `label_values(${services}, destination_service)`),
      ],
    },
    panels: panels.map(panelJson),
  };
  return `${JSON.stringify(dashboard, null, 1)}\n`;
}
