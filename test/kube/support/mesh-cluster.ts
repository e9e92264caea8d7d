// A mesh on a real API server without kubelets: this process plays the pods (HTTP servers on
// addresses of the pod network) and the controllers that write Pods and EndpointSlices; `weft
// controller` and one `weft proxy` per node are the product, unmodified, as children. It needs a
// network namespace in which 10.0.0.0/8 is local (scripts/test-kube.ts makes one), because a real
// API server refuses loopback addresses in EndpointSlices.
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { parse } from 'yaml';
import { allocator, nodeFlags } from '../../../scripts/image/weft-image.ts';
import {
  openConnection,
  resourcePath,
  type Connection,
  type ResourcePath,
} from '../../../src/kube/index.ts';
import { startControlPlane, type ControlPlane } from './control-plane.ts';
import { realRuntime } from '../../../src/main/runtime.ts';
import { until } from './until.ts';

export type SimulatedPod = {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly node: number;
  /** Requests that arrived: method and target. */
  readonly received: string[];
  readonly close: () => Promise<void>;
};

export type PodWish = {
  readonly namespace: string;
  readonly name: string;
  readonly node: number;
  readonly serviceAccount: string;
  /** Answers 200 with the pod's name unless this says otherwise. */
  readonly respond?: http.RequestListener;
};

export type Answer = {
  readonly status: number;
  readonly body: string;
  readonly reason: string | undefined;
};

export type Call = {
  readonly from: SimulatedPod;
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Which node's proxy; the caller's own by default. */
  readonly node?: number;
  readonly agent?: http.Agent | false;
};

export const podPort = 8080;
const meshNamespace = 'weft-system';
const callTimeoutMs = 5_000;

export type MeshCluster = {
  readonly plane: ControlPlane;
  readonly connection: Connection;
  readonly create: (path: ResourcePath, object: unknown) => Promise<void>;
  readonly apply: (path: ResourcePath, object: unknown) => Promise<void>;
  readonly remove: (path: ResourcePath) => Promise<void>;
  readonly startPod: (wish: PodWish) => Promise<SimulatedPod>;
  /** A Service on port 80 and one slice with these pods, as its controller makes it. */
  readonly serve: (
    namespace: string,
    name: string,
    pods: readonly SimulatedPod[],
    annotations?: Readonly<Record<string, string>>,
  ) => Promise<void>;
  readonly call: (call: Call) => Promise<Answer>;
  readonly admin: (node: number, path: string) => Promise<Answer>;
  readonly controller: { readonly kill: () => Promise<void>; readonly start: () => void };
  readonly proxyOf: (node: number) => ChildProcess;
  /** Starts the proxy of a node anew; the old one has to be gone. */
  readonly restartProxy: (node: number) => ChildProcess;
  readonly logs: () => string;
  readonly stop: () => Promise<void>;
};

export type MeshClusterOptions = {
  readonly nodes: number;
  readonly proxyFlags?: readonly string[];
};

export function proxyAddress(node: number): string {
  return `10.201.0.${10 + node}`;
}

/** Starts everything and resolves when all proxies are ready. */
export async function startMeshCluster(options: MeshClusterOptions): Promise<MeshCluster> {
  const plane = await startControlPlane();
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  const connection = await openConnection(source, realRuntime);
  const cluster = new RunningCluster(plane, connection, options);
  await cluster.up();
  return cluster;
}

class RunningCluster implements MeshCluster {
  readonly plane: ControlPlane;
  readonly connection: Connection;
  readonly #options: MeshClusterOptions;
  readonly #children: ChildProcess[] = [];
  readonly #pods: SimulatedPod[] = [];
  readonly #log: string[] = [];
  #controller: ChildProcess | undefined;
  #podCount = 0;
  #port: number | undefined;

  constructor(plane: ControlPlane, connection: Connection, options: MeshClusterOptions) {
    this.plane = plane;
    this.connection = connection;
    this.#options = options;
  }

  async up(): Promise<void> {
    for (const file of readdirSync('smi/crds')) {
      const crd = parse(readFileSync(`smi/crds/${file}`, 'utf8')) as { metadata: { name: string } };
      await this.create(
        { group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions' },
        crd,
      );
    }
    await this.namespace(meshNamespace);
    for (let node = 1; node <= this.#options.nodes; node += 1) await this.#createNode(node);
    this.controller.start();
    for (let node = 1; node <= this.#options.nodes; node += 1) this.#startProxy(node);
    for (let node = 1; node <= this.#options.nodes; node += 1) {
      await until(`proxy ${node} is ready`, async () => {
        const answer = await this.admin(node, '/readyz').catch(() => undefined);
        return answer?.status === 200;
      });
    }
  }

  async namespace(name: string, annotations: Readonly<Record<string, string>> = {}): Promise<void> {
    const path = { group: '', version: 'v1', plural: 'namespaces' };
    const metadata = { name, annotations };
    await this.create(path, { apiVersion: 'v1', kind: 'Namespace', metadata });
  }

  async create(path: ResourcePath, object: unknown): Promise<void> {
    await this.connection.create(resourcePath(path), object);
  }

  async apply(path: ResourcePath, object: unknown): Promise<void> {
    await this.connection.apply(resourcePath(path), object, { force: true, owner: 'test' });
  }

  async remove(path: ResourcePath): Promise<void> {
    await this.connection.remove(resourcePath(path));
  }

  async startPod(wish: PodWish): Promise<SimulatedPod> {
    this.#podCount += 1;
    const address = `10.244.${wish.node}.${this.#podCount + 1}`;
    const received: string[] = [];
    const server = http.createServer((request, response) => {
      received.push(`${request.method ?? ''} ${request.url ?? ''}`);
      if (wish.respond !== undefined) return wish.respond(request, response);
      request.resume();
      request.on('end', () => response.end(wish.name));
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(podPort, address, resolve));
    const { namespace, name } = wish;
    const path = { group: '', version: 'v1', plural: 'pods', namespace };
    await this.create(path, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name },
      spec: {
        nodeName: `node-${wish.node}`,
        serviceAccountName: wish.serviceAccount,
        containers: [{ name: 'app', image: 'none' }],
      },
    });
    const status = { phase: 'Running', podIP: address, podIPs: [{ ip: address }] };
    await this.connection.patch(resourcePath({ ...path, name, subresource: 'status' }), {
      kind: 'merge',
      body: { status },
    });
    const close = async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    const pod = { namespace, name, address, node: wish.node, received, close };
    this.#pods.push(pod);
    return pod;
  }

  async serve(
    namespace: string,
    name: string,
    pods: readonly SimulatedPod[],
    annotations: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await this.create(
      { group: '', version: 'v1', plural: 'services', namespace },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace, name, annotations },
        spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: podPort }] },
      },
    );
    const path = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', namespace };
    await this.create(path, endpointSlice(namespace, name, pods));
  }

  async call(call: Call): Promise<Answer> {
    const node = call.node ?? call.from.node;
    return exchange({
      host: proxyAddress(node),
      port: await this.#listenerPort(),
      localAddress: call.from.address,
      method: call.method ?? 'GET',
      path: call.path ?? '/',
      headers: { host: call.host, ...call.headers },
      agent: call.agent ?? false,
      body: call.body,
    });
  }

  admin(node: number, path: string): Promise<Answer> {
    return exchange({ host: proxyAddress(node), port: 15_020, path, method: 'GET', agent: false });
  }

  readonly controller = {
    kill: async (): Promise<void> => {
      await ended(this.#controller, 'SIGKILL');
      this.#controller = undefined;
    },
    start: (): void => {
      this.#controller = this.#spawn('controller', [
        '--admin-port',
        '15021',
        '--bind-address',
        '10.201.0.9',
        '--pod-name',
        'controller-1',
      ]);
    },
  };

  proxyOf(node: number): ChildProcess {
    const child = this.#children[node - 1];
    if (child === undefined) throw new Error(`there is no proxy ${node}`);
    return child;
  }

  restartProxy(node: number): ChildProcess {
    this.#startProxy(node);
    return this.proxyOf(node);
  }

  logs(): string {
    return this.#log.join('').split('\n').slice(-60).join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.#children, this.#controller].map((child) => ended(child, 'SIGKILL')),
    );
    await Promise.all(this.#pods.map((pod) => pod.close()));
    await this.connection.close();
    await this.plane.stop();
  }

  /** What kube-proxy would do: port 80 of the mesh Service → the port of the proxies. */
  async #listenerPort(): Promise<number> {
    if (this.#port !== undefined) return this.#port;
    const path = { group: '', version: 'v1', plural: 'services', namespace: meshNamespace };
    const service = (await this.connection.get(resourcePath({ ...path, name: 'weft-http' }))) as {
      spec: { ports: { port: number; targetPort: number }[] };
    };
    this.#port = service.spec.ports.find((one) => one.port === 80)?.targetPort;
    if (this.#port === undefined) throw new Error('weft-http has no port 80');
    return this.#port;
  }

  async #createNode(node: number): Promise<void> {
    const name = `node-${node}`;
    const path = { group: '', version: 'v1', plural: 'nodes' };
    await this.create(path, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    const addresses = [{ type: 'InternalIP', address: `10.200.0.${10 + node}` }];
    await this.connection.patch(resourcePath({ ...path, name, subresource: 'status' }), {
      kind: 'merge',
      body: { status: { addresses } },
    });
  }

  #startProxy(node: number): void {
    this.#children[node - 1] = this.#spawn('proxy', [
      '--node-name',
      `node-${node}`,
      '--bind-address',
      proxyAddress(node),
      '--debug-from',
      'any',
      '--test-hooks',
      ...(this.#options.proxyFlags ?? []),
    ]);
  }

  #spawn(command: string, flags: readonly string[]): ChildProcess {
    const args = [command, '--kubeconfig', this.plane.kubeconfigPath, ...flags];
    // As in the image: memory is that of these flags.
    const child = spawn(process.execPath, [...nodeFlags, 'dist/weft.js', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...allocator, ...process.env },
    });
    child.stderr.on('data', (data: Buffer) => {
      this.#log.push(data.toString());
      if (this.#log.length > 500) this.#log.shift();
    });
    return child;
  }
}

/** A slice as the EndpointSlice controller writes it. */
export function endpointSlice(namespace: string, name: string, pods: readonly SimulatedPod[]) {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      namespace,
      name: `${name}-1`,
      labels: {
        'kubernetes.io/service-name': name,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: podPort, protocol: 'TCP' }],
    endpoints: pods.map((pod) => ({
      addresses: [pod.address],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${pod.node}`,
      targetRef: { kind: 'Pod', namespace: pod.namespace, name: pod.name },
    })),
  };
}

type ExchangeOptions = http.RequestOptions & { readonly body?: string | undefined };

function exchange({ body, ...options }: ExchangeOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ ...options, timeout: callTimeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        if (!response.complete) return reject(new Error('the answer was cut off'));
        const reason = response.headers['weft-reason'];
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          reason: typeof reason === 'string' ? reason : undefined,
        });
      });
    });
    request.on('timeout', () => request.destroy(new Error('the call timed out')));
    request.on('error', reject);
    request.end(body);
  });
}

async function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}
