// Our side of the data-plane bench, with everything on: the embedded API server holds 100 services
// under `enforce` with TrafficTargets, HTTPRouteGroups, pods and 90/10 splits, and `weft proxy`
// runs against it as it would in a cluster. It serves the node of the calling pods, whose addresses
// say who they are. A run counts only if the proxy decided and split exactly what was sent.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parse } from 'yaml';
import { openConnection, resourcePath, type Connection } from '../../src/kube/index.ts';
import { allocator, nodeFlags as imageFlags } from '../../scripts/image/weft-image.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { startApiServer } from '../../src/playground/index.ts';
import { get, proxyCore, startChild, until, type Child } from './dataplane-tools.ts';

export const podPort = 18_917;
/** Addresses that `up` serves: two pods behind each side of the measured split. */
export const servedPods = { first: '127.91.0.1', count: 4 };
export const sources = { first: '127.92.0.1', count: 16 };
export const measuredService = 42;

const namespace = 'bench';
const meshNamespace = 'weft-system';
const nodeName = 'node-1';
const apiAddress = '127.90.0.3';
const listenerPort = 15_180;
const adminPort = 15_020;
const lanes = 16;

type Path = Parameters<typeof resourcePath>[0];
type KubeObject = { readonly path: Path; readonly object: object; readonly status?: object };

export type MeshSize = {
  readonly services: number;
  readonly endpointsPerService: number;
  /** Addresses of the pods of a service, where they are not made up. */
  readonly addresses?: ReadonlyMap<number, readonly string[]>;
};

export type MeshWish = {
  /** Where its API server listens: tells two meshes apart. */
  readonly apiAddress?: string;
  /** Of the namespace: defaults of all services. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of single services that have no split. */
  readonly ofServices?: ReadonlyMap<number, Readonly<Record<string, string>>>;
};

export type BenchMesh = {
  readonly kubeconfig: string;
  readonly stop: () => Promise<void>;
};

export function serviceName(index: number): string {
  return `svc-${String(index).padStart(3, '0')}`;
}

/** Name that callers use; the other proxies are configured with the same ones. */
export function hostOf(index: number): string {
  return `${serviceName(index)}.${namespace}.mesh`;
}

/** Address of a pod that nobody calls. */
export function idlePodAddress(service: number, pod: number, size: MeshSize): string {
  const number = service * size.endpointsPerService + pod + 1;
  return `127.93.${number >> 8}.${number & 255}`;
}

/** Starts the API server and fills it. */
export async function startBenchMesh(
  directory: string,
  size: MeshSize,
  wish: MeshWish = {},
): Promise<BenchMesh> {
  const address = wish.apiAddress ?? apiAddress;
  const server = await startApiServer({ runtime: realRuntime, address });
  const kubeconfig = join(directory, `kubeconfig-${address}`);
  writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 });
  const source = { kind: 'kubeconfig', file: kubeconfig, context: undefined } as const;
  const connection = await openConnection(source, realRuntime);
  for (const stage of [definitions(), ground(wish), callers(), services(size, wish)]) {
    await createAll(connection, stage);
  }
  await connection.close();
  return { kubeconfig, stop: () => server.close() };
}

async function createAll(connection: Connection, all: readonly KubeObject[]): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let one = all[next++]; one !== undefined; one = all[next++]) {
      await connection.create(resourcePath(one.path), one.object);
      if (one.status === undefined) continue;
      const { metadata } = one.object as { metadata: { name: string } }; // made below, with a name
      const path = resourcePath({ ...one.path, name: metadata.name, subresource: 'status' });
      await connection.patch(path, { kind: 'merge', body: { status: one.status } });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function definitions(): readonly KubeObject[] {
  const group = 'apiextensions.k8s.io';
  const path = { group, version: 'v1', plural: 'customresourcedefinitions' };
  return readdirSync('smi/crds').map((file) => ({
    path,
    object: parse(readFileSync(`smi/crds/${file}`, 'utf8')) as object, // a manifest of ours
  }));
}

function core(plural: string, object: object, place = namespace): KubeObject {
  return { path: { group: '', version: 'v1', plural, namespace: place }, object };
}

function clusterWide(plural: string, object: object): KubeObject {
  return { path: { group: '', version: 'v1', plural }, object };
}

function ground({ annotations = {} }: MeshWish): readonly KubeObject[] {
  const space = (name: string, annotations: object): KubeObject =>
    clusterWide('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, annotations },
    });
  return [
    space(meshNamespace, {}),
    space(namespace, { 'weft.dev/policy': 'enforce', ...annotations }),
    clusterWide('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } }),
  ];
}

/** What the controller would have allocated, and the pods that call. */
function callers(): readonly KubeObject[] {
  const meshService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'weft-http', labels: { 'weft.dev/component': 'mesh-service' } },
    spec: {
      internalTrafficPolicy: 'Local',
      ports: [{ name: 'http-80', port: 80, targetPort: listenerPort, protocol: 'TCP' }],
    },
  };
  const prefix = sources.first.slice(0, sources.first.lastIndexOf('.'));
  return [
    core('services', meshService, meshNamespace),
    ...Array.from({ length: sources.count }, (_, index) =>
      pod({ workload: 'client', account: 'client', address: `${prefix}.${index + 1}`, index }),
    ),
  ];
}

type PodWish = {
  readonly workload: string;
  readonly account: string;
  readonly address: string;
  readonly index: number;
};

/** As a Deployment's ReplicaSet makes it, so that metrics name the Deployment. */
function pod({ workload, account, address, index }: PodWish): KubeObject {
  const replicaSet = `${workload}-5d9c6b7f8d`;
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: replicaSet, uid: replicaSet };
  return {
    ...core('pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: podName(workload, index),
        labels: { app: workload, 'pod-template-hash': '5d9c6b7f8d' },
        ownerReferences: [{ ...owner, controller: true }],
      },
      spec: {
        nodeName,
        serviceAccountName: account,
        containers: [{ name: 'app', image: 'registry.example/app:1' }],
      },
    }),
    status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }] },
  };
}

function podName(workload: string, index: number): string {
  return `${workload}-5d9c6b7f8d-${String(index).padStart(5, '0')}`;
}

/** Every tenth service, the measured one among them, is split 90/10 between two versions. */
function isSplit(index: number): boolean {
  return index % 10 === measuredService % 10;
}

function services(size: MeshSize, wish: MeshWish): readonly KubeObject[] {
  const of = (index: number): readonly KubeObject[] => serviceObjects(index, size, wish);
  return Array.from({ length: size.services }, (_, index) => of(index)).flat();
}

function serviceObjects(
  index: number,
  size: MeshSize,
  { ofServices }: MeshWish,
): readonly KubeObject[] {
  const name = serviceName(index);
  const addresses = addressesOf(index, size);
  const half = Math.ceil(addresses.length / 2);
  const backends = isSplit(index)
    ? [
        ...backend(`${name}-v1`, name, addresses.slice(0, half)),
        ...backend(`${name}-v2`, name, addresses.slice(half)),
        service(name),
        trafficSplit(name),
      ]
    : backend(name, name, addresses, ofServices?.get(index));
  return [...backends, routeGroup(name), trafficTarget(name)];
}

function addressesOf(index: number, size: MeshSize): readonly string[] {
  const given = size.addresses?.get(index);
  if (given !== undefined) return given;
  if (index === measuredService) {
    const prefix = servedPods.first.slice(0, servedPods.first.lastIndexOf('.'));
    return Array.from({ length: servedPods.count }, (_, pod) => `${prefix}.${pod + 1}`);
  }
  return Array.from({ length: size.endpointsPerService }, (_, pod) =>
    idlePodAddress(index, pod, size),
  );
}

function service(name: string, annotations: object = {}): KubeObject {
  return core('services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, annotations },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: podPort }] },
  });
}

function backend(
  name: string,
  account: string,
  addresses: readonly string[],
  annotations?: object,
): readonly KubeObject[] {
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-1`,
      labels: {
        'kubernetes.io/service-name': name,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: podPort, protocol: 'TCP' }],
    endpoints: addresses.map((address, index) => ({
      addresses: [address],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName,
      targetRef: { kind: 'Pod', namespace, name: podName(name, index) },
    })),
  };
  const path = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', namespace };
  return [
    service(name, annotations),
    ...addresses.map((address, index) => pod({ workload: name, account, address, index })),
    { path, object: slice },
  ];
}

function trafficSplit(name: string): KubeObject {
  return {
    path: { group: 'split.smi-spec.io', version: 'v1alpha4', plural: 'trafficsplits', namespace },
    object: {
      apiVersion: 'split.smi-spec.io/v1alpha4',
      kind: 'TrafficSplit',
      metadata: { name },
      spec: {
        service: name,
        backends: [
          { service: `${name}-v1`, weight: 90 },
          { service: `${name}-v2`, weight: 10 },
        ],
      },
    },
  };
}

function routeGroup(name: string): KubeObject {
  const matches = [
    { name: 'health', pathRegex: '/healthz', methods: ['GET'] },
    { name: 'items', pathRegex: '/api/v[0-9]+/items/.*', methods: ['GET', 'PUT'] },
    { name: 'bytes', pathRegex: '/(bytes|chunked)/[0-9]+', methods: ['GET', 'POST'] },
  ];
  return {
    path: { group: 'specs.smi-spec.io', version: 'v1alpha4', plural: 'httproutegroups', namespace },
    object: {
      apiVersion: 'specs.smi-spec.io/v1alpha4',
      kind: 'HTTPRouteGroup',
      metadata: { name },
      spec: { matches },
    },
  };
}

function trafficTarget(name: string): KubeObject {
  const account = (of: string): object => ({ kind: 'ServiceAccount', name: of, namespace });
  return {
    path: { group: 'access.smi-spec.io', version: 'v1alpha3', plural: 'traffictargets', namespace },
    object: {
      apiVersion: 'access.smi-spec.io/v1alpha3',
      kind: 'TrafficTarget',
      metadata: { name },
      spec: {
        destination: account(name),
        sources: [account('monitoring'), account('client')],
        rules: [{ kind: 'HTTPRouteGroup', name, matches: ['health', 'items', 'bytes'] }],
      },
    },
  };
}

// ---- the proxy ----------------------------------------------------------------------------------

export type WeftOptions = {
  readonly kubeconfig: string;
  readonly directory: string;
  /** Address of its listeners; tells two of them apart. */
  readonly address: string;
  /** The built program: dist/weft.js of this tree or of another. */
  readonly program: string;
  /** Besides those of the image. */
  readonly nodeFlags?: readonly string[];
  /** Besides our own. */
  readonly env?: NodeJS.ProcessEnv;
  /** Absent: one, on the core of the proxies. */
  readonly workers?: number;
  /** As taskset says it. */
  readonly core?: string;
  /** Which service has to answer; absent: the measured one. */
  readonly service?: number;
};

export type RunningWeft = {
  readonly child: Child;
  readonly address: string;
  readonly port: number;
  readonly counters: () => Promise<Counters>;
  /** What its admin port answers. */
  readonly admin: (path: string) => Promise<string>;
};

/** Reading 10 000 pods from a busy API server takes a while. */
const routesMs = 120_000;

/** The Node of the proxies under test. */
const nodeProgram = process.env['WEFT_BENCH_NODE'] ?? process.execPath;

/** Starts `weft proxy` and waits until it routes. */
export async function startWeft(options: WeftOptions): Promise<RunningWeft> {
  const { address, program, directory, kubeconfig, nodeFlags = [], workers = 1 } = options;
  const { service = measuredService } = options;
  const flags = {
    kubeconfig,
    'node-name': nodeName,
    'bind-address': address,
    'admin-port': adminPort,
    workers,
    'access-log': 'errors',
    'drain-delay': '0s',
    'drain-timeout': '1s',
  };
  const child = startChild({
    core: options.core ?? proxyCore,
    env: { ...allocator, ...process.env, ...options.env },
    command: [
      nodeProgram,
      ...imageFlags,
      ...nodeFlags,
      program,
      'proxy',
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    logFile: join(directory, `weft-${address}.log`),
  });
  const url = `http://${address}:${listenerPort}/bytes/200`;
  const call = { localAddress: sources.first, headers: { host: hostOf(service) } };
  try {
    const isReady = async (): Promise<boolean> =>
      child.hasEnded() || (await get(url, call)).status === 200;
    await until('weft routes', isReady, routesMs);
    if (child.hasEnded()) throw new Error('weft ended');
  } catch (error) {
    await child.stop();
    throw new Error(`weft does not route:\n${child.lastLines()}`, { cause: error });
  }
  const admin = async (path: string): Promise<string> =>
    (await get(`http://${address}:${adminPort}${path}`)).body;
  const counters = async (): Promise<Counters> => {
    // New series are reported to the control thread every 100 ms.
    await wait(250);
    return parseCounters(await admin('/metrics'));
  };
  return { child, address, port: listenerPort, counters, admin };
}

/** What /metrics says about everything that went through so far. */
export type Counters = {
  readonly allowed: number;
  readonly denied: number;
  readonly requests: number;
  /** Requests by destination workload. */
  readonly byWorkload: ReadonlyMap<string, number>;
  readonly bugs: number;
};

export function parseCounters(text: string): Counters {
  let [allowed, denied, requests, bugs] = [0, 0, 0, 0];
  const byWorkload = new Map<string, number>();
  for (const line of text.split('\n')) {
    const parts = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (parts === null) continue;
    const [, name, labels = '', number] = parts;
    const value = Number(number);
    if (name === 'weft_policy_decisions_total') {
      if (labels.includes('action="allow"')) allowed += value;
      else denied += value;
    } else if (name === 'weft_http_requests_total') {
      requests += value;
      const workload = /destination_workload="([^"]*)"/.exec(labels)?.[1] ?? '';
      byWorkload.set(workload, (byWorkload.get(workload) ?? 0) + value);
    } else if (name === 'weft_bugs_total') {
      bugs += value;
    }
  }
  return { allowed, denied, requests, byWorkload, bugs };
}

/** The split is a fixed smooth order, taken in turns: shares are exact but for its end. */
const shareTolerance = 0.01;

/** Why a run in which `sent` requests were answered does not count; undefined: it does. */
export function complaintOf(before: Counters, after: Counters, sent: number): string | undefined {
  const name = serviceName(measuredService);
  const grown = (workload: string): number =>
    (after.byWorkload.get(workload) ?? 0) - (before.byWorkload.get(workload) ?? 0);
  const allowed = after.allowed - before.allowed;
  const requests = after.requests - before.requests;
  if (after.bugs !== before.bugs) return `${after.bugs - before.bugs} bugs`;
  if (after.denied !== before.denied) return `${after.denied - before.denied} denied`;
  if (requests !== sent) return `${requests} requests counted, ${sent} sent`;
  if (allowed !== sent) return `${allowed} allow decisions, ${sent} sent`;
  const share = grown(`${name}-v2`) / sent;
  // Few requests cannot show a share to a hundredth.
  if (sent >= 1_000 && Math.abs(share - 0.1) > shareTolerance) {
    return `v2 got ${(share * 100).toFixed(1)} %, not 10 %`;
  }
  return undefined;
}
