// A rolling update of the proxies themselves under load: clients that never try again, half of
// their requests POSTs without an Idempotency-Key, half of them on new connections, on every node.
// Nothing may fail. Then a proxy is killed outright.
import { describe, expect, test } from 'vitest';
import { failuresOf, startLoad } from './support/calls.ts';
import { kubectl } from './support/kubectl.ts';
import { meshNamespace, nodeNames, proxies, rolledOut } from './support/cluster.ts';

const url = 'http://api.shop.mesh/';

describe('a proxy is replaced', () => {
  test('by a rolling update under 200 requests/s: no request fails', async () => {
    const nodes = await nodeNames();
    const before = await proxies();
    const loads = await Promise.all(
      nodes.map((node) =>
        startLoad({ namespace: 'web', client: `caller-${node}` }, { urls: [url], perSecond: 70 }),
      ),
    );
    await kubectl(['-n', meshNamespace, 'rollout', 'restart', 'daemonset/weft-proxy']);
    await rolledOut(meshNamespace, 'daemonset/weft-proxy');
    const after = await proxies(90_000);
    const results = await Promise.all(loads.map((load) => load.stop()));
    for (const [node, pod] of after) {
      expect(pod.metadata.uid, node).not.toBe(before.get(node)?.metadata.uid);
    }
    console.log(JSON.stringify(results.map(({ sent, failed, durationsMs }) => ({ sent, failed, durationsMs }))));
    expect(results.flatMap(failuresOf)).toEqual([]);
    for (const { sent, answered } of results) {
      expect(sent).toBeGreaterThan(500);
      expect(answered).toBe(sent);
    }
  });
});
