// Load from every node at once: 200 requests/s in all, by clients that never try again; half of the
// requests are POSTs without an Idempotency-Key, half of them on new connections.
import { expect } from 'vitest';
import { failuresOf, startLoad, type Load, type LoadResult } from './calls.ts';
import { nodeNames } from './cluster.ts';
import { apiUrl, callerOn } from './shop.ts';

const perSecond = 200;

export async function loadEverywhere(): Promise<ReadonlyMap<string, Load>> {
  const nodes = await nodeNames();
  const plan = { urls: [apiUrl], perSecond: Math.ceil(perSecond / nodes.length) };
  const loads = await Promise.all(nodes.map((node) => startLoad(callerOn(node), plan)));
  return new Map(nodes.map((node, index) => [node, loads[index] as Load]));
}

export async function stopAll(
  loads: ReadonlyMap<string, Load>,
): Promise<ReadonlyMap<string, LoadResult>> {
  const results = await Promise.all([...loads.values()].map((load) => load.stop()));
  return new Map([...loads.keys()].map((node, index) => [node, results[index] as LoadResult]));
}

export function told(results: ReadonlyMap<string, LoadResult>): string {
  const facts = [...results].map(([node, { sent, failed, durationsMs }]) => {
    const { p50, p99, max } = durationsMs;
    return `${node}: ${sent} sent, ${failed} failed, p50 ${p50} p99 ${p99} max ${max} ms`;
  });
  return facts.join('\n');
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Load from every node while `change` runs: not one request may fail. */
export async function unfailingWhile(title: string, change: () => Promise<void>): Promise<void> {
  const loads = await loadEverywhere();
  const startedMs = Date.now();
  let results: ReadonlyMap<string, LoadResult>;
  try {
    await change();
  } finally {
    results = await stopAll(loads);
    const seconds = Math.round((Date.now() - startedMs) / 1_000);
    console.log(`${title}, ${seconds} s\n${told(results)}`);
  }
  const failures = [...results].flatMap(([node, result]) =>
    failuresOf(result).map((text) => `${node} ${text}`),
  );
  expect(failures, title).toEqual([]);
}
