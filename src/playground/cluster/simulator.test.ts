// The simulator against the embedded API server: what a user creates becomes running pods that
// answer on their own addresses, and slices that name them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openConnection, resourcePath, type Connection } from '../../kube/index.ts';
import { realRuntime as runtime } from '../../main/runtime.ts';
import { startApiServer, type ApiServer } from '../server/api-server.ts';
import { listAt, textAt, type JsonObject } from '../server/json.ts';
import { startSimulator, type Simulator } from './simulator.ts';

let directory: string;
let server: ApiServer;
let connection: Connection;
let simulator: Simulator;
const failures: unknown[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weft-simulator-'));
  server = await startApiServer({ runtime, transport: 'http' });
  const file = join(directory, 'kubeconfig');
  writeFileSync(file, server.kubeconfig());
  connection = await openConnection({ kind: 'kubeconfig', file, context: undefined }, runtime);
  failures.length = 0;
  simulator = startSimulator({
    connection,
    runtime,
    nodes: [
      { name: 'node-1', address: '127.0.0.2' },
      { name: 'node-2', address: '127.0.0.3' },
    ],
    isAddressShared: false,
    onFailure: (failure) => failures.push(failure),
  });
});

afterEach(async () => {
  await simulator.close();
  await connection.close();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

const apps = { group: 'apps', version: 'v1', namespace: 'default' };
const core = { group: '', version: 'v1', namespace: 'default' };

function deployment(replicas: number, version: string): JsonObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web', version } },
        spec: {
          serviceAccountName: 'web',
          containers: [
            { name: 'web', image: 'none', ports: [{ name: 'http', containerPort: 8080 }] },
          ],
        },
      },
    },
  };
}

async function items(path: Parameters<typeof resourcePath>[0]): Promise<readonly JsonObject[]> {
  const list = (await connection.get(resourcePath(path))) as JsonObject;
  return listAt(list, 'items') as JsonObject[];
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    await simulator.settled();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function createAll(): Promise<void> {
  await connection.create(resourcePath({ ...apps, plural: 'deployments' }), deployment(3, 'v1'));
  await connection.create(resourcePath({ ...core, plural: 'services' }), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] },
  });
}

const slices = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  namespace: 'default',
};

async function readyEndpoints(): Promise<number> {
  const all = (await items(slices)).flatMap((slice) => listAt(slice, 'endpoints'));
  return all.filter((endpoint) => JSON.stringify(endpoint).includes('"ready":true')).length;
}

test('a Deployment and a Service become pods that answer and slices that name them', async () => {
  await createAll();
  await until(async () => (await readyEndpoints()) === 3);
  expect(simulator.pods().size).toBe(3);
  const [slice] = await items(slices);
  expect(slice?.ports).toEqual([{ name: '', port: 8080, protocol: 'TCP' }]);
  const nodes = new Set(listAt(slice, 'endpoints').map((endpoint) => textAt(endpoint, 'nodeName')));
  expect(nodes).toEqual(new Set(['node-1', 'node-2']));
  const [pod] = simulator.pods().values();
  const answer = await fetch(`http://${pod?.facts.address}:8080/hello`, {
    headers: { 'x-caller': 'me' },
  });
  expect(await answer.json()).toMatchObject({
    version: 'v1',
    serviceAccount: 'web',
    path: '/hello',
  });
  expect(pod?.receivedFrom('me')).toBe(1);
  expect(pod?.receivedAt('/hello')).toBe(1);
});

test('a Deployment that grows gets the node that has fewer of its pods', async () => {
  const path = { ...apps, plural: 'deployments' };
  const nodesOf = (): readonly string[] =>
    [...simulator.pods().values()].map(
      ({ facts }) => `${facts.name.split('-')[0] ?? ''} ${facts.nodeName}`,
    );
  for (const [index, name] of ['a', 'b'].entries()) {
    const one = { ...deployment(1, 'v1'), metadata: { name } };
    await connection.create(resourcePath(path), one);
    await until(() => Promise.resolve(simulator.pods().size === index + 1));
  }
  // In turn it would be the first node again, where the other pod is.
  const more = { kind: 'merge', body: { spec: { replicas: 2 } } } as const;
  await connection.patch(resourcePath({ ...path, name: 'a' }), more);
  await until(() => Promise.resolve(simulator.pods().size === 3));
  expect(nodesOf().toSorted()).toEqual(['a node-1', 'a node-2', 'b node-2']);
});

test('scaling and a new template replace pods', async () => {
  await createAll();
  await until(async () => (await readyEndpoints()) === 3);
  const path = resourcePath({ ...apps, plural: 'deployments', name: 'web' });
  const spec = { replicas: 2, template: { metadata: { labels: { version: 'v2' } } } };
  await connection.patch(path, { kind: 'merge', body: { spec } });
  await until(async () => {
    expect(await readyEndpoints()).toBeGreaterThan(0);
    const versions = [...simulator.pods().values()].map((pod) => pod.facts.labels.get('version'));
    return versions.length === 2 && versions.every((version) => version === 'v2');
  });
  expect(await readyEndpoints()).toBe(2);
});

test('pods end with their Deployment', async () => {
  await createAll();
  await until(async () => (await readyEndpoints()) === 3);
  await connection.remove(resourcePath({ ...apps, plural: 'deployments', name: 'web' }));
  await until(async () => (await items({ ...core, plural: 'pods' })).length === 0);
  await until(() => Promise.resolve(simulator.pods().size === 0));
});
