// Pods that are programs of their own, under a DaemonSet: what a program is told, how its readiness
// shows in statuses and slices, how it is replaced. The programs here are switches, no children.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openConnection, resourcePath, type Connection } from '../../kube/index.ts';
import { realRuntime as runtime } from '../../main/runtime.ts';
import { startApiServer, type ApiServer } from '../server/api-server.ts';
import { listAt, nameOf, objectAt, textAt, type Json, type JsonObject } from '../server/json.ts';
import type { PodLaunch, PodPrograms } from './pod-program.ts';
import { startSimulator, type Simulator } from './simulator.ts';

const nodes = [
  { name: 'node-1', address: '127.0.0.2' },
  { name: 'node-2', address: '127.0.0.3' },
];
const apps = { group: 'apps', version: 'v1', namespace: 'default' };
const core = { group: '', version: 'v1', namespace: 'default' };
const set = { ...apps, plural: 'daemonsets', name: 'agent' };

let directory: string;
let server: ApiServer;
let connection: Connection;
let simulator: Simulator;
/** Every program that was started, by the name of its pod. */
const launched = new Map<string, PodLaunch & { isReady: boolean; isStopped: boolean }>();

const programs: PodPrograms = {
  place: ({ args, nodeName }) =>
    args[0] === 'agent' ? nodes.find(({ name }) => name === nodeName)?.address : undefined,
  launch: (pod) => {
    const state = { ...pod, isReady: false, isStopped: false };
    launched.set(pod.name, state);
    return {
      isReady: () => Promise.resolve(state.isReady),
      stop: () => {
        state.isStopped = true;
        return Promise.resolve();
      },
    };
  },
};

beforeEach(async () => {
  launched.clear();
  directory = mkdtempSync(join(tmpdir(), 'weft-programs-'));
  server = await startApiServer({ runtime, transport: 'http' });
  const file = join(directory, 'kubeconfig');
  writeFileSync(file, server.kubeconfig());
  connection = await openConnection({ kind: 'kubeconfig', file, context: undefined }, runtime);
  simulator = startSimulator({ connection, runtime, nodes, isAddressShared: false, programs });
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'agent' } };
  await connection.create(resourcePath({ ...core, plural: 'serviceaccounts' }), account);
  await connection.create(resourcePath({ ...core, plural: 'services' }), headless);
  await connection.create(resourcePath({ ...apps, plural: 'daemonsets' }), daemonSet);
});

afterEach(async () => {
  await simulator.close();
  await connection.close();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

const headless: JsonObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'agents', labels: { team: 'mesh' } },
  spec: {
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    selector: { app: 'agent' },
    ports: [{ port: 15_008 }],
  },
};

const fieldOf = (name: string, fieldPath: string): JsonObject => ({
  name,
  valueFrom: { fieldRef: { fieldPath } },
});

const daemonSet: JsonObject = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'agent' },
  spec: {
    selector: { matchLabels: { app: 'agent' } },
    template: {
      metadata: { labels: { app: 'agent' } },
      spec: {
        serviceAccountName: 'agent',
        containers: [
          {
            name: 'agent',
            image: 'none',
            args: ['agent'],
            env: [
              fieldOf('POD_UID', 'metadata.uid'),
              fieldOf('POD_IP', 'status.podIP'),
              { name: 'LEVEL', value: 'info' },
            ],
          },
        ],
      },
    },
  },
};

async function items(plural: string, group = ''): Promise<readonly JsonObject[]> {
  const path = resourcePath({ group, version: 'v1', namespace: 'default', plural });
  return listAt((await connection.get(path)) as JsonObject, 'items') as JsonObject[];
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    await simulator.settled();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function statusOfSet(): Promise<JsonObject> {
  return objectAt((await connection.get(resourcePath(set))) as JsonObject, 'status');
}

async function endpoints(): Promise<readonly Json[]> {
  const slices = await items('endpointslices', 'discovery.k8s.io');
  return slices.flatMap((slice) => listAt(slice, 'endpoints'));
}

function allReady(): void {
  for (const program of launched.values()) program.isReady = true;
}

test('each node gets a program that knows its pod, and a token that says so', async () => {
  await until(async () => (await endpoints()).length === 2);
  const pods = await items('pods');
  expect(pods.map((pod) => textAt(pod, 'spec', 'nodeName')).toSorted()).toEqual([
    'node-1',
    'node-2',
  ]);
  for (const pod of pods) {
    const program = launched.get(nameOf(pod));
    const uid = textAt(pod, 'metadata', 'uid');
    const address = nodes.find(({ name }) => name === program?.nodeName)?.address;
    expect(program?.environment).toEqual({ POD_UID: uid, POD_IP: address, LEVEL: 'info' });
    expect(textAt(pod, 'status', 'podIP')).toBe(address);
    const review = await fetch(`${server.url}/apis/authentication.k8s.io/v1/selfsubjectreviews`, {
      method: 'POST',
      headers: { authorization: `Bearer ${program?.token ?? ''}` },
      body: '{}',
    });
    expect(await review.json()).toMatchObject({
      status: {
        userInfo: {
          username: 'system:serviceaccount:default:agent',
          extra: {
            'authentication.kubernetes.io/node-name': [program?.nodeName],
            'authentication.kubernetes.io/pod-name': [nameOf(pod)],
            'authentication.kubernetes.io/pod-uid': [uid],
          },
        },
      },
    });
  }
});

test('readiness is what the probe says, in the set and in the slices', async () => {
  await until(async () => (await endpoints()).length === 2);
  expect(await statusOfSet()).toMatchObject({ desiredNumberScheduled: 2, numberReady: 0 });
  const waiting = { ready: true, serving: false, terminating: false };
  expect(await endpoints()).toMatchObject([{ conditions: waiting }, { conditions: waiting }]);
  allReady();
  await until(async () => (await statusOfSet()).numberReady === 2);
  const serving = { ready: true, serving: true, terminating: false };
  await until(async () => JSON.stringify(await endpoints()).split('"serving":true').length === 3);
  expect(await endpoints()).toMatchObject([{ conditions: serving }, { conditions: serving }]);
});

test('slices carry the labels of their Service, and whose they are', async () => {
  await until(async () => (await endpoints()).length === 2);
  const [slice] = await items('endpointslices', 'discovery.k8s.io');
  expect(objectAt(slice, 'metadata', 'labels')).toEqual({
    team: 'mesh',
    'kubernetes.io/service-name': 'agents',
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    'service.kubernetes.io/headless': '',
  });
});

test('a deleted pod is stopped before its node gets another one', async () => {
  await until(() => launched.size === 2);
  allReady();
  await until(async () => (await statusOfSet()).numberReady === 2);
  const [first = ''] = launched.keys();
  await connection.remove(resourcePath({ ...core, plural: 'pods', name: first }));
  await until(() => launched.size === 3);
  const { isStopped, nodeName } = launched.get(first) ?? {};
  expect(isStopped).toBe(true);
  expect([...launched.values()].at(-1)?.nodeName).toBe(nodeName);
});

test('a new template replaces pods one by one, each when all others are ready', async () => {
  await until(() => launched.size === 2);
  allReady();
  await until(async () => (await statusOfSet()).numberReady === 2);
  const template = { metadata: { annotations: { again: 'yes' } } };
  await connection.patch(resourcePath(set), { kind: 'merge', body: { spec: { template } } });
  await until(() => launched.size === 3);
  await until(async () => (await statusOfSet()).currentNumberScheduled === 2);
  expect([...launched.values()].filter(({ isStopped }) => isStopped)).toHaveLength(1);
  allReady();
  await until(() => launched.size === 4);
  allReady();
  await until(async () => (await statusOfSet()).updatedNumberScheduled === 2);
});

test('programs end with the simulator', async () => {
  await until(() => launched.size === 2);
  await simulator.close();
  expect([...launched.values()].map(({ isStopped }) => isStopped)).toEqual([true, true]);
});
