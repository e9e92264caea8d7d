// The pods of one node, and for a while those of the others, on a real API server: what it takes
// for a selector, and that a pod of the own node is known in every state that is told.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterState } from '../../src/api/index.ts';
import { watchCluster, type ClusterWatch } from '../../src/kube/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { IdentityCluster } from './support/identity-cluster.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

let cluster: IdentityCluster;
let watch: ClusterWatch;
const states: ClusterState[] = [];

const pod = (name: string, node: string) => {
  return cluster.pod({ namespace: 'shop', name, node, account: 'web', address: '10.1.0.1' });
};
const names = (): string => [...watch.state().pods.keys()].sort().join();

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  for (const node of ['node-a', 'node-b']) await cluster.node(node);
  await cluster.account('shop', 'web');
  await pod('own', 'node-a');
  await pod('far', 'node-b');
  watch = watchCluster({
    connection: await cluster.proxy('node-a'),
    runtime: realRuntime,
    log: silentLog,
    podScope: { kind: 'node', nodeName: 'node-a' },
    onChange: (state) => states.push(state),
  });
  await until('everything is listed', () => watch.isSynced());
}, 60_000);

afterAll(async () => {
  await watch.stop();
  await cluster.stop();
});

test('pods of other nodes are known while they are wanted, the own ones always', async () => {
  const own = 'shop/own,weft-system/weft-proxy-node-a';
  expect(names()).toBe(own);
  watch.followOtherPods(true);
  await until('all are known', () => watch.knowsAllPods());
  expect(names()).toBe(`shop/far,${own}`);
  await pod('far-2', 'node-b');
  await pod('own-2', 'node-a');
  await until('new ones', () => watch.state().pods.size === 5);
  watch.followOtherPods(false);
  expect(names()).toBe(`shop/own,shop/own-2,weft-system/weft-proxy-node-a`);
  await until('that is told', () => states.at(-1)?.pods.size === 3);
  for (const state of states) expect(state.pods.has('shop/own')).toBe(true);
});
