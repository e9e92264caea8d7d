// The rows of the data-plane bench, and how samples become a table. A ratio is the median of the
// ratios of single rounds: what the machine does to one round it does to all proxies in it.
import type { LoadResult, Work } from './dataplane-tools.ts';

export type Row = {
  readonly name: string;
  readonly title: string;
  readonly work: Work;
  /** Highest ratio of our CPU to theirs that is good enough. */
  readonly targets: Readonly<Record<string, number>>;
};

const megabyte = 1_048_576;
const small = { path: '/bytes/200', answerBytes: 200 };

export const rows: readonly Row[] = [
  {
    name: 'get-200',
    title: 'GET 200 B, 64 connections',
    work: { ...small, connections: 64 },
    targets: { nginx: 0.95, haproxy: 0.78, 'http-proxy': 0.25 },
  },
  {
    name: 'get-10k',
    title: 'GET 10 kB, 64 connections',
    work: { path: '/bytes/10240', answerBytes: 10_240, connections: 64 },
    targets: { nginx: 1, haproxy: 0.82 },
  },
  {
    name: 'get-1m',
    title: 'GET 1 MB, 16 connections',
    work: { path: `/bytes/${megabyte}`, answerBytes: megabyte, connections: 16 },
    targets: { nginx: 0.9, haproxy: 0.8 },
  },
  {
    name: 'post-10k-chunked',
    title: 'POST 10 kB chunked, 64 connections',
    work: { ...small, connections: 64, bodyBytes: 10_240, isChunked: true },
    targets: { nginx: 0.8, haproxy: 0.9 },
  },
  {
    name: 'get-200-c1',
    title: 'GET 200 B, 1 connection',
    work: { ...small, connections: 1 },
    targets: { nginx: 1.05, haproxy: 0.9 },
  },
  {
    name: 'get-200-c512',
    title: 'GET 200 B, 512 connections',
    work: { ...small, connections: 512 },
    targets: { nginx: 1.05, haproxy: 0.9 },
  },
  {
    name: 'get-200-c4000',
    title: 'GET 200 B, 4000 connections',
    work: { ...small, connections: 4000 },
    targets: { nginx: 1.05, haproxy: 0.9 },
  },
  {
    name: 'fresh',
    title: 'GET 200 B, new connection per request',
    work: { ...small, connections: 32, isFresh: true },
    targets: { nginx: 1.5, haproxy: 1.5 },
  },
  {
    name: 'get-200-ids',
    title: 'GET 200 B, new ids in each request (no target)',
    work: { ...small, connections: 64, hasNewIds: true },
    targets: {},
  },
  {
    name: 'post-1m',
    title: 'POST 1 MB, 16 connections (no target)',
    work: { ...small, connections: 16, bodyBytes: megabyte },
    targets: {},
  },
];

/** Requests at a constant rate; its columns are latencies. */
export const latencyRow = { name: 'latency', title: 'GET 200 B at half of saturation' };
export const latencyTarget = 1.15;
export const idleRow = { name: 'idle', title: 'RSS with 4000 idle connections' };

/** Samples of a row: proxy → one result per round, undefined where a round did not count. */
export type Samples = ReadonlyMap<string, readonly (LoadResult | undefined)[]>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

export type Ratio = { readonly median: number; readonly low: number; readonly high: number };

/** One number per result of the proxy named, of the rounds that counted. */
export function valuesOf(
  samples: Samples,
  proxy: string,
  value: (result: LoadResult) => number,
): readonly number[] {
  return (samples.get(proxy) ?? []).flatMap((one) => (one === undefined ? [] : [value(one)]));
}

/** Ours by theirs, round by round; undefined when no round has both. */
export function ratioOf(
  samples: Samples,
  pair: { readonly ours: string; readonly theirs: string },
  value: (result: LoadResult) => number,
): Ratio | undefined {
  const theirs = samples.get(pair.theirs) ?? [];
  const ratios = (samples.get(pair.ours) ?? []).flatMap((one, round) => {
    const other = theirs[round];
    return one === undefined || other === undefined ? [] : [value(one) / value(other)];
  });
  if (ratios.length === 0) return undefined;
  return { median: median(ratios), low: Math.min(...ratios), high: Math.max(...ratios) };
}

/** `0.97 (0.95–1.01) ≤ 0.95 no`. */
export function ratioText(ratio: Ratio | undefined, target: number | undefined): string {
  if (ratio === undefined) return '–';
  const text = `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})`;
  if (target === undefined) return text;
  return `${text} ≤ ${target} ${ratio.median <= target ? 'yes' : '**no**'}`;
}

/** Cells of a Markdown table, padded so that it reads as text as well. */
export function tableLines(cells: readonly (readonly string[])[]): readonly string[] {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`;
  const [head = [], ...body] = cells;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(head), rule, ...body.map(line)];
}
