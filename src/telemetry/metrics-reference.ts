// docs/reference/metrics.md, rendered from the table of metrics; a test compares the two.
// Nothing in that page is written by hand.
import { bucketBounds, metricNames, metricTable } from './metric-table.ts';

const head = `# Metrics

Generated from \`src/telemetry/metric-table.ts\`; do not edit (\`UPDATE_GOLDEN=1 npx vitest run
--config test/vitest.config.ts src/telemetry\` writes it anew).

\`GET /metrics\` on the admin port of every process answers in the Prometheus text format, or in
OpenMetrics when \`Accept\` asks for it. Units are seconds and bytes. No label takes its value from
a path, a host, a header or an address. A process holds at most 10 000 series per worker; counts
past that go to one series per metric whose labels are all \`overflow\`, and
\`weft_metric_series_dropped_total\` says so. Counters survive the death of a worker.

Each exchange is counted once, by the proxy of the source, with its final outcome; each try at an
endpoint once more in \`weft_http_attempts_total\`.

| metric | type | labels | meaning |
|---|---|---|---|
`;

/** The whole page. */
export function renderMetricsReference(): string {
  const rows = metricNames.map((name) => {
    const { type, labels, help } = metricTable[name];
    const labelText = labels.map((label) => `\`${label}\``).join(' ');
    return `| \`${name}\` | ${type} | ${labelText} | ${help} |`;
  });
  const bounds = bucketBounds.join(', ');
  return `${head}${rows.join('\n')}

Histograms count seconds in the buckets ${bounds}, +Inf.
The metrics of the process itself (\`process_*\`, \`nodejs_*\`) are those of prom-client.
`;
}
