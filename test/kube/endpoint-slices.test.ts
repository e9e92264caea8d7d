// The slices that the simulator writes against those of Kubernetes' own EndpointSlice controller:
// for the same Service and pods of a real API server both say the same, but for names. Pods change
// as those of a proxy do: without an address, not ready, ready, on their way out, gone.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openConnection, resourcePath } from '../../src/kube/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import { desiredSlices } from '../../src/playground/cluster/endpoint-slices.ts';
import { listAt, objectAt, textAt } from '../../src/playground/server/json.ts';
import type { Json, JsonObject } from '../../src/playground/server/json.ts';
import { startControllers } from './support/controller-programs.ts';
import { startControlPlane } from './support/control-plane.ts';
import type { ControlPlane } from './support/control-plane.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

const core = { group: '', version: 'v1', namespace: 'default' };
const pods = { ...core, plural: 'pods' };
const services = ['plain', 'peers'] as const;

let plane: ControlPlane;
let stopControllers: () => Promise<void>;
let admin: Connection;

beforeAll(async () => {
  plane = await startControlPlane();
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  admin = await openConnection(source, realRuntime);
  for (const name of ['node-1', 'node-2']) {
    const nodes = resourcePath({ group: '', version: 'v1', plural: 'nodes' });
    await admin.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  }
  stopControllers = await startControllers(plane, ['endpointslice-controller']);
  await admin.create(resourcePath({ ...core, plural: 'services' }), serviceOf('plain', {}));
  const headless = { clusterIP: 'None', publishNotReadyAddresses: true };
  await admin.create(resourcePath({ ...core, plural: 'services' }), serviceOf('peers', headless));
}, 90_000);

afterAll(async () => {
  await admin.close();
  await stopControllers();
  await plane.stop();
});

function serviceOf(name: string, spec: JsonObject): JsonObject {
  const labels = { 'weft.dev/component': 'mesh-service' };
  const ports = [
    { name: 'a', port: 80, targetPort: 15_180 },
    { name: 'b', port: 53, protocol: 'UDP', targetPort: 'dns' },
  ];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, labels },
    spec: { selector: { app: 'agent' }, ports, ...spec },
  };
}

async function createPod(name: string, nodeName: string): Promise<void> {
  const ports = [{ name: 'dns', containerPort: 15_053, protocol: 'UDP' }];
  await admin.create(resourcePath(pods), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'agent' } },
    spec: { nodeName, containers: [{ name: 'c', image: 'none', ports }] },
  });
}

async function report(name: string, address: string, ready: 'True' | 'False'): Promise<void> {
  const conditions = [{ type: 'Ready', status: ready }];
  const status = { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions };
  const path = resourcePath({ ...pods, name, subresource: 'status' });
  await admin.patch(path, { kind: 'merge', body: { status } });
}

async function items(group: string, plural: string): Promise<readonly JsonObject[]> {
  const path = resourcePath({ group, version: 'v1', namespace: 'default', plural });
  const list = (await admin.get(path)) as JsonObject;
  return listAt(list, 'items') as JsonObject[];
}

/** What counts of the slices of one Service: in an order of its own, without names and times. */
function facts(slices: readonly JsonObject[], service: string): Json {
  const own = slices.filter(
    (slice) =>
      textAt(slice, 'metadata', 'labels', 'kubernetes.io/service-name') === service &&
      listAt(slice, 'endpoints').length > 0,
  );
  return own
    .map((slice) => ({
      labels: objectAt(slice, 'metadata', 'labels'),
      owners: listAt(slice, 'metadata', 'ownerReferences') as Json[],
      addressType: slice.addressType ?? '',
      endpoints: sorted(listAt(slice, 'endpoints')),
      ports: sorted(listAt(slice, 'ports')),
    }))
    .toSorted((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
}

function sorted(list: readonly Json[]): Json[] {
  return list.toSorted((left, right) => (textOf(left) < textOf(right) ? -1 : 1));
}

function textOf(value: Json): string {
  return textAt(value, 'name') ?? String(listAt(value, 'addresses')[0]);
}

/** Waits until the real controller says the same as the simulator would; shows the difference. */
async function bothAgree(): Promise<void> {
  const compared = async (): Promise<readonly (readonly [Json, Json])[]> => {
    const slices = await items('discovery.k8s.io', 'endpointslices');
    const running = await items('', 'pods');
    const known = await items('', 'services');
    return services.map((name) => {
      const service = known.find((one) => textAt(one, 'metadata', 'name') === name) ?? {};
      const ours = desiredSlices(service, running, (_pod, port) => port);
      return [facts(ours, name), facts(slices, name)] as const;
    });
  };
  const same = async (): Promise<boolean> => {
    try {
      for (const [ours, theirs] of await compared()) expect(ours).toEqual(theirs);
      return true;
    } catch {
      // Not yet, or never: the last comparison below shows which.
      return false;
    }
  };
  await until('the real controller says the same', same).catch(() => undefined);
  for (const [ours, theirs] of await compared()) expect(ours).toEqual(theirs);
}

async function endpointCount(): Promise<number> {
  const slices = await items('discovery.k8s.io', 'endpointslices');
  return slices.flatMap((slice) => listAt(slice, 'endpoints')).length;
}

test('from pods without an address to pods that are gone', async () => {
  await createPod('one', 'node-1');
  await createPod('two', 'node-2');
  await bothAgree();
  expect(await endpointCount()).toBe(0);
  await report('one', '10.1.1.1', 'False');
  await report('two', '10.1.2.1', 'True');
  await bothAgree();
  expect(await endpointCount()).toBe(4);
  await report('one', '10.1.1.1', 'True');
  await bothAgree();
  // On its way out, and still serving.
  await admin.remove(resourcePath({ ...pods, name: 'two' }));
  await bothAgree();
  await report('two', '10.1.2.1', 'False');
  await bothAgree();
  const now = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 };
  await admin.remove(resourcePath({ ...pods, name: 'two' }), now);
  await bothAgree();
  expect(await endpointCount()).toBe(2);
});

test('labels of the Service are those of its slices, now and later', async () => {
  const path = resourcePath({ ...core, plural: 'services', name: 'peers' });
  const labels = { 'weft.dev/component': null, team: 'mesh' };
  await admin.patch(path, { kind: 'merge', body: { metadata: { labels } } });
  await bothAgree();
});
