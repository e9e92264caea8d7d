// `Programmed` with real proxies on a real API server: the controller and the proxies hash what
// users wrote to the same word, and an object says on how many nodes it is in force.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { proxyAddress, startMeshCluster, type MeshCluster } from './support/mesh-cluster.ts';
import { until } from './support/until.ts';

type Condition = { readonly type: string; readonly status: string; readonly message: string };
type Split = {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly conditions?: readonly (Condition & { readonly observedGeneration: number })[];
  };
};

const splits = '/apis/split.smi-spec.io/v1alpha4/namespaces/shop/trafficsplits';
const nodes = [1, 2];

let mesh: MeshCluster;

beforeAll(async () => {
  mesh = await startMeshCluster({ nodes: nodes.length });
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
  await mesh.create({ group: '', version: 'v1', plural: 'namespaces' }, namespace);
  for (const node of nodes) await createProxyPod(node);
  await mesh.serve('shop', 'web', []);
}, 90_000);

afterAll(() => mesh.stop());

/** What the DaemonSet and the kubelet would write of a proxy that is ready. */
async function createProxyPod(node: number): Promise<void> {
  const path = '/api/v1/namespaces/weft-system/pods';
  const name = `weft-proxy-${node}`;
  const labels = { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'proxy' };
  await mesh.connection.create(path, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'weft-system', labels },
    spec: {
      nodeName: `node-${node}`,
      serviceAccountName: 'weft-proxy',
      containers: [{ name: 'proxy', image: 'none' }],
    },
  });
  const address = proxyAddress(node);
  const conditions = [{ type: 'Ready', status: 'True' }];
  const status = { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions };
  await mesh.connection.patch(`${path}/${name}/status`, { kind: 'merge', body: { status } });
}

async function programmed(name: string): Promise<Condition | undefined> {
  const { metadata, status } = (await mesh.connection.get(`${splits}/${name}`)) as Split;
  return status?.conditions?.find(
    ({ type, observedGeneration }) =>
      type === 'Programmed' && observedGeneration === metadata.generation,
  );
}

function split(name: string, weight: number): unknown {
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { name, namespace: 'shop' },
    spec: { service: 'web', backends: [{ service: 'web', weight }] },
  };
}

const isTrue = (name: string) => async () => (await programmed(name))?.status === 'True';

test('an object is programmed when both proxies have it, later generations too', async () => {
  await mesh.connection.create(splits, split('one', 1));
  await until('programmed', isTrue('one'));
  for (const weight of [2, 3, 4]) {
    const body = split('one', weight);
    await mesh.connection.patch(`${splits}/one`, { kind: 'merge', body });
    await until(`generation with weight ${weight}`, isTrue('one'));
  }
});

test('a proxy that hangs is told of, and the object is programmed when it is back', async () => {
  mesh.proxyOf(2).kill('SIGSTOP');
  try {
    await mesh.connection.patch(`${splits}/one`, { kind: 'merge', body: split('one', 9) });
    await until('on 1 of 2 nodes', async () => {
      const condition = await programmed('one');
      return condition?.status === 'False' && condition.message.includes('on 1 of 2 nodes');
    });
  } finally {
    mesh.proxyOf(2).kill('SIGCONT');
  }
  await until('programmed', isTrue('one'));
  expect((await programmed('one'))?.message).toBe('');
});
