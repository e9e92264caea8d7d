// Proxies are replaced, killed, and lose a worker under load: 200 requests/s in all, from every
// node, by clients that never try again; half of the requests are POSTs without an Idempotency-Key,
// half of them on new connections. A roll-out may lose nothing; a kill only what was that node's.
import { describe, expect, test } from 'vitest';
import { call, failuresOf, outcome, startLoad } from './support/calls.ts';
import type { Load, LoadResult } from './support/calls.ts';
import { killContainer, meshNamespace, nodeNames, proxies, rolledOut } from './support/cluster.ts';
import { kubectl } from './support/kubectl.ts';
import { apiUrl, callerOn } from './support/shop.ts';
import { until } from './support/until.ts';

const perSecond = 200;

async function loadEverywhere(): Promise<ReadonlyMap<string, Load>> {
  const nodes = await nodeNames();
  const plan = { urls: [apiUrl], perSecond: Math.ceil(perSecond / nodes.length) };
  const loads = await Promise.all(nodes.map((node) => startLoad(callerOn(node), plan)));
  return new Map(nodes.map((node, index) => [node, loads[index] as Load]));
}

async function stopAll(
  loads: ReadonlyMap<string, Load>,
): Promise<ReadonlyMap<string, LoadResult>> {
  const results = await Promise.all([...loads.values()].map((load) => load.stop()));
  return new Map([...loads.keys()].map((node, index) => [node, results[index] as LoadResult]));
}

function told(results: ReadonlyMap<string, LoadResult>): string {
  const facts = [...results].map(([node, { sent, failed, durationsMs }]) => {
    const { p50, p99, max } = durationsMs;
    return `${node}: ${sent} sent, ${failed} failed, p50 ${p50} p99 ${p99} max ${max} ms`;
  });
  return facts.join('\n');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe('proxies under load', () => {
  test('a rolling update of all of them fails no request', async () => {
    const before = await proxies();
    const loads = await loadEverywhere();
    await kubectl(['-n', meshNamespace, 'rollout', 'restart', 'daemonset/weft-proxy']);
    await rolledOut(meshNamespace, 'daemonset/weft-proxy');
    // Until the last of the old ones has drained and gone.
    const after = await proxies(90_000);
    await pause(1_000);
    const results = await stopAll(loads);
    console.log(told(results));
    for (const [node, pod] of after) {
      expect(pod.metadata.uid, node).not.toBe(before.get(node)?.metadata.uid);
    }
    for (const [node, result] of results) {
      expect(failuresOf(result), node).toEqual([]);
      expect(result.answered, node).toBe(result.sent);
      expect(result.sent, node).toBeGreaterThan(500);
    }
  });

  test('a worker that is killed takes its own connections at most, and is replaced', async () => {
    const [node = ''] = await nodeNames();
    const pod = (await proxies()).get(node)?.metadata.name ?? '';
    const inPod = (script: string) =>
      kubectl(['-n', meshNamespace, 'exec', pod, '--', 'node', '-e', script]);
    const kill = "fetch('http://127.0.0.1:15020/debug/workers/0/kill', {method: 'POST'})";
    const loads = await loadEverywhere();
    await pause(2_000);
    const killedMs = Date.now();
    expect(await inPod(`${kill}.then((a) => console.log(a.status))`)).toMatch(/^20\d/);
    await pause(4_000);
    const results = await stopAll(loads);
    console.log(told(results));
    for (const [name, result] of results) {
      if (name !== node) expect(failuresOf(result), name).toEqual([]);
    }
    // What was in flight; nothing that began a second later.
    const failures = results.get(node)?.failures ?? [];
    expect(failures.filter(({ startedMs }) => startedMs > killedMs + 2_000)).toEqual([]);
    expect(results.get(node)?.failed).toBeLessThan(40);
  });

  test('kill -9 of a proxy: its node is back within 3 s, other nodes notice nothing', async () => {
    const [node = ''] = await nodeNames();
    const pod = (await proxies()).get(node);
    const loads = await loadEverywhere();
    await pause(2_000);
    await killContainer(meshNamespace, pod?.metadata.name ?? '');
    await until('the proxy is ready again', async () => {
      const again = (await proxies()).get(node);
      return (again?.status.containerStatuses?.[0]?.restartCount ?? 0) > 0 ? true : undefined;
    });
    await pause(3_000);
    const results = await stopAll(loads);
    console.log(told(results));
    for (const [name, result] of results) {
      if (name !== node) expect(failuresOf(result), name).toEqual([]);
    }
    const failures = results.get(node)?.failures ?? [];
    // From the first call that was cut off to the last that could not begin.
    expect(failures.length).toBeGreaterThan(0);
    const firstMs = Math.min(...failures.map(({ atMs }) => atMs));
    const lastMs = Math.max(...failures.map(({ startedMs }) => startedMs));
    console.log(`${failures.length} calls failed within ${lastMs - firstMs} ms`);
    expect(lastMs - firstMs).toBeLessThan(3_000);
    const [answer] = await call(callerOn(node), [{ url: apiUrl }]);
    expect(answer && outcome(answer)).toBe('200');
  });
});
