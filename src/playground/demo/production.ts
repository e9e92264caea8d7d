// The production processes of the demo, unmodified: `weft controller` and one `weft proxy` per
// node, as children, each with a kubeconfig of its own whose token says which pod it is – what a
// kubelet would mount in a cluster.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { resourcePath, type Connection } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import { runsElsewhere } from '../cluster/simulator.ts';
import type { ApiServer } from '../server/api-server.ts';
import { textAt, type JsonObject } from '../server/json.ts';
import { Child } from './child.ts';
import { adminPort, controllerAdminPort, dnsPort, type NodePlace } from './places.ts';

/** Where the mesh itself lives, as in a cluster. */
export const meshNamespace = 'weft-system';

/** What the children are started with. */
export type ProductionOptions = {
  readonly runtime: Runtime;
  readonly server: ApiServer;
  readonly connection: Connection;
  readonly nodes: readonly NodePlace[];
  /** Program and first arguments of `weft`: Node and dist/weft.js. */
  readonly program: readonly [string, ...string[]];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

const controllerName = 'weft-controller-demo';
const readyTimeoutMs = 15_000;
const pollMs = 20;
const pods = { group: '', version: 'v1', plural: 'pods', namespace: meshNamespace };
/** Ctrl-C in a demo should not take the 25 s that a node is given. */
const shortDrain = ['--drain-delay', '0s', '--drain-timeout', '2s'];

/** What kubeadm gives CoreDNS; nobody reads it here, but it shows how the controller wires it. */
const corefile = `.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
`;

/** What a cluster holds before the mesh runs: its DNS, our namespace and accounts, nodes. */
export function meshObjects(nodes: readonly NodePlace[]): readonly JsonObject[] {
  const account = (name: string): JsonObject => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: meshNamespace },
  });
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: meshNamespace } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'coredns', namespace: 'kube-system' },
      data: { Corefile: corefile },
    },
    account('weft-proxy'),
    account('weft-controller'),
    ...nodes.map(nodeObject),
  ];
}

function nodeObject(node: NodePlace): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name, labels: { 'kubernetes.io/hostname': node.name } },
    status: {
      addresses: [{ type: 'Hostname', address: node.name }],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'simulated' }],
      nodeInfo: { kubeletVersion: 'v1.34.4' },
    },
  };
}

function podObject(component: 'proxy' | 'controller', name: string, nodeName: string): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: meshNamespace,
      labels: { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': component },
      annotations: { [runsElsewhere]: 'elsewhere' },
    },
    spec: {
      nodeName,
      serviceAccountName: `weft-${component}`,
      containers: [{ name: 'weft', image: 'weft' }],
    },
  };
}

/** Starts the controller and the proxies; they need not be ready yet. */
export async function startProduction(options: ProductionOptions): Promise<readonly Child[]> {
  const first = options.nodes[0]?.name ?? '';
  return Promise.all([
    startController(options, first),
    ...options.nodes.map((node) => startProxy(options, node)),
  ]);
}

async function startController(options: ProductionOptions, nodeName: string): Promise<Child> {
  const name = controllerName;
  const pod = await createPod(options, podObject('controller', name, nodeName));
  const kubeconfig = writeKubeconfig(options, { name, uid: pod, nodeName }, 'weft-controller');
  return child(options, name, [
    'controller',
    '--kubeconfig',
    kubeconfig,
    '--pod-name',
    name,
    '--bind-address',
    '127.0.0.1',
    '--admin-port',
    String(controllerAdminPort + portOffset(options)),
  ]);
}

/** Several demos share 127.0.0.1: the block of the first node's address tells them apart. */
function portOffset(options: ProductionOptions): number {
  return Number(options.nodes[0]?.address.split('.')[2] ?? '0');
}

async function startProxy(options: ProductionOptions, node: NodePlace): Promise<Child> {
  const name = `weft-proxy-${node.name}`;
  const uid = await createPod(options, podObject('proxy', name, node.name));
  const kubeconfig = writeKubeconfig(options, { name, uid, nodeName: node.name }, 'weft-proxy');
  return child(options, name, [
    'proxy',
    '--kubeconfig',
    kubeconfig,
    '--node-name',
    node.name,
    '--bind-address',
    node.address,
    '--pod-name',
    name,
    '--pod-uid',
    uid,
    '--pod-ip',
    node.address,
    '--admin-port',
    String(adminPort),
    '--dns-port',
    String(dnsPort),
    ...shortDrain,
  ]);
}

async function createPod(options: ProductionOptions, pod: JsonObject): Promise<string> {
  const made = await options.connection.create(resourcePath(pods), pod);
  return textAt(made as JsonObject, 'metadata', 'uid') ?? ''; // an object, as created
}

type PodName = { readonly name: string; readonly uid: string; readonly nodeName: string };

function writeKubeconfig(options: ProductionOptions, pod: PodName, serviceAccount: string): string {
  const token = options.server.issueToken({
    namespace: meshNamespace,
    serviceAccount,
    podName: pod.name,
    podUid: pod.uid,
    nodeName: pod.nodeName,
  });
  const file = join(options.directory, `${pod.name}.kubeconfig`);
  writeFileSync(file, options.server.kubeconfig(token), { mode: 0o600 });
  return file;
}

function child(options: ProductionOptions, name: string, parameters: readonly string[]): Child {
  return new Child({
    name,
    command: [...options.program, ...parameters],
    logFile: join(options.directory, `${name}.log`),
    environment: options.environment,
  });
}

/** Resolves when every process says that it is ready; its pod then says so too. */
export async function productionReady(options: ProductionOptions): Promise<void> {
  const controllerPort = controllerAdminPort + portOffset(options);
  await Promise.all([
    ...options.nodes.map(async (node) => {
      await readyz(options.runtime, `http://${node.address}:${adminPort}/readyz`);
      await reportReady(options, `weft-proxy-${node.name}`, node.address);
    }),
    (async () => {
      await readyz(options.runtime, `http://127.0.0.1:${controllerPort}/readyz`);
      await reportReady(options, controllerName, '127.0.0.1');
    })(),
  ]);
}

async function readyz(runtime: Runtime, url: string): Promise<void> {
  const deadlineMs = runtime.clock.nowMs() + readyTimeoutMs;
  let last = 'no answer';
  while (runtime.clock.nowMs() < deadlineMs) {
    try {
      const answer = await request(url, { headersTimeout: 1000 });
      last = (await answer.body.text()).trim();
      if (answer.statusCode === 200) return;
    } catch (error) {
      // Not listening yet; asked again below, until the deadline.
      last = String(error);
    }
    await pause(runtime, pollMs);
  }
  throw new Error(`${url} was not ready after ${readyTimeoutMs}ms: ${last}`);
}

/** Resolves after `ms`. */
export function pause(runtime: Runtime, ms: number): Promise<void> {
  return new Promise((resolve) => {
    runtime.timers.after(ms, resolve);
  });
}

async function reportReady(
  options: ProductionOptions,
  name: string,
  address: string,
): Promise<void> {
  const path = resourcePath({ ...pods, name, subresource: 'status' });
  const containerStatuses = [{ name: 'weft', ready: true, started: true, restartCount: 0 }];
  const status = {
    phase: 'Running',
    podIP: address,
    podIPs: [{ ip: address }],
    hostIP: address,
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses,
  };
  await options.connection.patch(path, { kind: 'merge', body: { status } });
}
