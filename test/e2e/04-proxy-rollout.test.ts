// All proxies are replaced under load. A roll-out may lose nothing: neither what goes over a kept
// connection, nor a POST on a new one.
import { describe, expect, test } from 'vitest';
import { failuresOf } from './support/calls.ts';
import { meshNamespace, proxies, rolledOut } from './support/cluster.ts';
import { kubectl } from './support/kubectl.ts';
import { loadEverywhere, pause, stopAll, told } from './support/load-everywhere.ts';

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
});
