// A mesh for tests that need no cluster: the embedded API server and the simulator's pods in this
// process, and the production programs – `weft controller` and one `weft proxy` per node – as
// children, from dist/weft.js, which `npm test` builds before. Loopback addresses that nobody uses
// now, so that it runs beside a demo.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { openConnection, resourcePath, type Connection } from '../../src/kube/index.ts';
import type { ResourcePath } from '../../src/kube/index.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { reservePlaces, type NodePlace } from '../../src/playground/demo/places.ts';
import { meshObjects } from '../../src/playground/demo/production.ts';
import { runsElsewhere } from '../../src/playground/cluster/kubelets.ts';
import type { PodServer } from '../../src/playground/cluster/pod-server.ts';
import { startApiServer, startSimulator } from '../../src/playground/index.ts';
import type { ApiServer, Simulator } from '../../src/playground/index.ts';
import { peersService } from '../../src/topology/index.ts';
import { until } from '../kube/support/until.ts';

export const adminPort = 15_020;
export const dnsPort = 15_053;
const containerPort = 8_080;
const callTimeoutMs = 10_000;
const meshNamespace = 'weft-system';
const meshPods = { group: '', version: 'v1', plural: 'pods', namespace: meshNamespace };

type ProxyPod = { readonly name: string; readonly uid: string; readonly kubeconfig: string };

export type Answer = {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** `weft-reason`, when the mesh itself answered. */
  readonly reason: string | undefined;
  /** Which pod answered, `namespace/name`. */
  readonly pod: string | undefined;
};

export type MeshCall = {
  readonly from: PodServer;
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  /** Number of the node whose proxy is asked; the caller's own unless given. */
  readonly node?: number;
  readonly agent?: http.Agent;
};

export type ChildRun = {
  readonly process: ChildProcess;
  /** Exit code, or the name of the signal; when it is gone. */
  readonly ended: Promise<number | string>;
  readonly stderr: () => string;
};

/** Runs `weft` with these arguments. */
export function runWeft(args: readonly string[], program = 'dist/weft.js'): ChildRun {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said = (said + data.toString()).slice(-200_000);
  });
  const ended = new Promise<number | string>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'lost'));
  });
  return { process: child, ended, stderr: () => said };
}

/** Asks and reads the whole answer; rejects when it is cut off. */
export function exchange(options: http.RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ ...options, timeout: callTimeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const reason = response.headers['weft-reason'];
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body,
          reason: typeof reason === 'string' ? reason : undefined,
          pod: /"pod":"([^"]+)"/.exec(body)?.[1],
        });
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
    request.end();
  });
}

export class PlaygroundMesh {
  readonly server: ApiServer;
  readonly connection: Connection;
  readonly simulator: Simulator;
  /** Addresses of the proxies, by number of the node from 1. */
  readonly addresses: readonly string[];
  readonly kubeconfig: string;
  readonly #directory: string;
  readonly #release: () => void;
  readonly #program: string | undefined;
  #listenerPort: number | undefined;
  readonly #children = new Map<string, ChildRun>();
  /** Number of the node → name of its proxy's pod now. */
  readonly #proxyPods = new Map<number, string>();
  #podCount = 0;

  private constructor(parts: {
    readonly server: ApiServer;
    readonly connection: Connection;
    readonly simulator: Simulator;
    readonly addresses: readonly string[];
    readonly directory: string;
    readonly release: () => void;
    readonly program: string | undefined;
  }) {
    this.server = parts.server;
    this.connection = parts.connection;
    this.simulator = parts.simulator;
    this.addresses = parts.addresses;
    this.#directory = parts.directory;
    this.#release = parts.release;
    this.#program = parts.program;
    this.kubeconfig = join(parts.directory, 'kubeconfig');
  }

  /**
   * API server with kinds, nodes and pods; the mesh itself is started by `startProxies`, from
   * another build's `program` where one is named.
   */
  static async start(program?: string): Promise<PlaygroundMesh> {
    const { places, release } = await reservePlaces('any');
    if (places.isAddressShared) throw new Error('this test needs the addresses of 127.0.0.0/8');
    const server = await startApiServer({ runtime: realRuntime });
    const directory = mkdtempSync(join(tmpdir(), 'weft-mesh-'));
    const file = join(directory, 'kubeconfig');
    writeFileSync(file, server.kubeconfig(), { mode: 0o600 });
    const source = { kind: 'kubeconfig', file, context: undefined } as const;
    const connection = await openConnection(source, realRuntime);
    const simulator = startSimulator({
      connection,
      runtime: realRuntime,
      nodes: places.nodes,
      isAddressShared: false,
      addressBlock: places.addressBlock,
    });
    const addresses = places.nodes.map(({ address }) => address);
    const parts = { server, connection, simulator, addresses, directory, release, program };
    const mesh = new PlaygroundMesh(parts);
    await mesh.#createCluster(places.nodes);
    return mesh;
  }

  async #createCluster(nodes: readonly NodePlace[]): Promise<void> {
    for (const file of readdirSync('smi/crds')) {
      const text = readFileSync(`smi/crds/${file}`, 'utf8');
      await this.create(file === 'trafficsplits.yaml' ? laxDefinition(text) : parse(text));
    }
    for (const object of meshObjects(nodes)) await this.create(object);
  }

  /** `flags` are of all proxies. */
  async startProxies(...flags: readonly string[]): Promise<void> {
    const numbers = this.addresses.map((_, index) => index + 1);
    this.#children.set('controller', this.#run('controller', 'controller', [
      '--bind-address',
      '127.0.0.1',
      '--admin-port',
      '0',
    ]));
    await Promise.all(numbers.map((node) => this.startProxy(node, ...flags)));
    await Promise.all(numbers.map((node) => this.ready(node)));
  }

  /** A new pod of this node, and the program of it: with its name, its address and its token. */
  async startProxy(node: number, ...flags: readonly string[]): Promise<ChildRun> {
    const pod = await this.#createProxyPod(node);
    const name = `proxy ${node}`;
    const child = runWeft([
      'proxy',
      '--kubeconfig',
      pod.kubeconfig,
      '--pod-name',
      pod.name,
      '--pod-uid',
      pod.uid,
      '--pod-ip',
      this.addressOf(node),
      '--node-name',
      `node-${node}`,
      '--bind-address',
      this.addressOf(node),
      '--test-hooks',
      '--drain-delay',
      '300ms',
      '--drain-timeout',
      '8s',
      ...flags,
    ], this.#program);
    this.#children.set(name, child);
    return child;
  }

  /** In place of the node's former one; the simulator leaves it alone, the test runs it. */
  async #createProxyPod(node: number): Promise<ProxyPod> {
    const former = this.#proxyPods.get(node);
    if (former !== undefined) {
      const now = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 };
      await this.connection.remove(resourcePath({ ...meshPods, name: former }), now);
    }
    this.#podCount += 1;
    const name = `weft-proxy-${this.#podCount}`;
    const account = 'weft-proxy';
    const made = await this.connection.create(resourcePath(meshPods), proxyPod(name, node));
    this.#proxyPods.set(node, name);
    await this.#reportProxy(node, 'False');
    // The API server answers a Pod.
    const { uid } = (made as { readonly metadata: { readonly uid: string } }).metadata;
    const path = { ...meshPods, plural: 'serviceaccounts', name: account, subresource: 'token' };
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid };
    const answer = await this.connection.create(resourcePath(path), {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { boundObjectRef, expirationSeconds: 3_600 },
    });
    // The API server answers a TokenRequest.
    const { token } = (answer as { readonly status: { readonly token: string } }).status;
    const kubeconfig = join(this.#directory, `${name}.kubeconfig`);
    writeFileSync(kubeconfig, this.server.kubeconfig(token), { mode: 0o600 });
    return { name, uid, kubeconfig };
  }

  async #reportProxy(node: number, ready: 'True' | 'False'): Promise<void> {
    const address = this.addressOf(node);
    const conditions = [{ type: 'Ready', status: ready }];
    const status = { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions };
    const name = this.#proxyPods.get(node) ?? '';
    const path = resourcePath({ ...meshPods, name, subresource: 'status' });
    await this.connection.patch(path, { kind: 'merge', body: { status } });
  }

  async ready(node: number): Promise<void> {
    await until(`proxy ${node} is ready`, async () => {
      const answer = await this.admin(node, '/readyz').catch(() => undefined);
      return answer?.status === 200;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.childOf(`proxy ${node}`).stderr()}`);
    });
    await this.#reportProxy(node, 'True');
  }

  childOf(name: string): ChildRun {
    const child = this.#children.get(name);
    if (child === undefined) throw new Error(`${name} was not started`);
    return child;
  }

  addressOf(node: number): string {
    const address = this.addresses[node - 1];
    if (address === undefined) throw new Error(`there is no node ${node}`);
    return address;
  }

  #run(name: string, command: string, flags: readonly string[]): ChildRun {
    const args = [command, '--kubeconfig', this.kubeconfig, '--pod-name', name, ...flags];
    return runWeft(args, this.#program);
  }

  /** The collection is found by kind and apiVersion. */
  async create(object: unknown): Promise<void> {
    await this.connection.create(resourcePath(collectionOf(object)), object);
  }

  async apply(object: unknown): Promise<void> {
    const path = resourcePath({ ...collectionOf(object), name: factsOf(object).metadata.name });
    await this.connection.apply(path, object, { force: true, owner: 'test' });
  }

  async remove(object: unknown): Promise<void> {
    const { name } = factsOf(object).metadata;
    await this.connection.remove(resourcePath({ ...collectionOf(object), name }));
  }

  /** A pod on this node that answers who it is; `app` is its label. */
  async startPod(wish: {
    readonly name: string;
    readonly node: number;
    readonly account: string;
    readonly app?: string;
    readonly namespace?: string;
  }): Promise<PodServer> {
    const { name, node, account, app = account, namespace = 'shop' } = wish;
    await this.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name, labels: { app } },
      spec: {
        nodeName: `node-${node}`,
        serviceAccountName: account,
        containers: [{ name: 'app', image: 'none', ports: [{ containerPort }] }],
      },
    });
    await until(`pod ${name} runs`, () => this.#podOf(namespace, name) !== undefined);
    const found = this.#podOf(namespace, name);
    if (found === undefined) throw new Error(`pod ${name} does not run`);
    return found;
  }

  #podOf(namespace: string, name: string): PodServer | undefined {
    return this.simulator.pods().get(`${namespace}/${name}`);
  }

  /** A Service on port 80 for the pods with label `app`. */
  serve(namespace: string, name: string, app: string): Promise<void> {
    return this.create(serviceObject(namespace, name, app));
  }

  async call(call: MeshCall): Promise<Answer> {
    const node = call.node ?? Number(call.from.facts.nodeName.split('-')[1]);
    return exchange({
      host: this.addressOf(node),
      port: await this.listenerPort(),
      localAddress: call.from.facts.address,
      method: call.method ?? 'GET',
      path: call.path ?? '/',
      headers: { host: call.host },
      agent: call.agent ?? false,
    });
  }

  admin(node: number, path: string, method = 'GET'): Promise<Answer> {
    const host = this.addressOf(node);
    return exchange({ host, port: adminPort, path, method, agent: false });
  }

  /** What kube-proxy would do: port 80 of the mesh Service → the port that the proxies open. */
  async listenerPort(): Promise<number> {
    if (this.#listenerPort !== undefined) return this.#listenerPort;
    const { spec } = await this.meshService();
    const port = spec.ports.find((one) => one.port === 80)?.targetPort;
    if (port === undefined) throw new Error('weft-http has no port 80');
    this.#listenerPort = port;
    return port;
  }

  async meshService(): Promise<MeshService> {
    const path = { group: '', version: 'v1', plural: 'services', namespace: meshNamespace };
    // The API server answers a Service.
    return (await this.connection.get(
      resourcePath({ ...path, name: 'weft-http' }),
    )) as MeshService;
  }

  async stop(): Promise<void> {
    for (const { process: child } of this.#children.values()) child.kill('SIGKILL');
    await Promise.all([...this.#children.values()].map(({ ended }) => ended));
    await this.simulator.close();
    await this.connection.close();
    await this.server.close();
    rmSync(this.#directory, { recursive: true, force: true });
    this.#release();
  }
}

export type MeshService = {
  readonly spec: {
    readonly clusterIP: string;
    readonly ports: readonly { readonly port: number; readonly targetPort: number }[];
  };
};

type ObjectFacts = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
};

/** Objects of tests are written by hand, with at least these fields. */
function factsOf(object: unknown): ObjectFacts {
  return object as ObjectFacts;
}

function collectionOf(object: unknown): ResourcePath {
  const { apiVersion, kind, metadata } = factsOf(object);
  const [version = '', group = ''] = apiVersion.split('/').reverse();
  const plural = `${kind.toLowerCase()}s`;
  const { namespace } = metadata;
  return { group, version, plural, ...(namespace === undefined ? {} : { namespace }) };
}

const tunnels = { name: peersService.portName, containerPort: 15_008, protocol: 'TCP' };

/** Labels and account as those of DaemonSet weft-proxy. */
function proxyPod(name: string, node: number) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: meshNamespace,
      name,
      labels: { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'proxy' },
      annotations: { [runsElsewhere]: 'elsewhere' },
    },
    spec: {
      nodeName: `node-${node}`,
      serviceAccountName: 'weft-proxy',
      containers: [{ name: 'proxy', image: 'none', ports: [tunnels] }],
    },
  };
}

export function serviceObject(namespace: string, name: string, app: string) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { selector: { app }, ports: [{ name: 'http', port: 80, targetPort: containerPort }] },
  };
}

/** A kind as the CRDs of other meshes define it: its objects may hold anything. */
function laxDefinition(text: string): unknown {
  // One of our own files.
  const definition = parse(text) as {
    readonly spec: { readonly versions: { schema: unknown }[] };
  };
  for (const version of definition.spec.versions) {
    const lax = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    version.schema = { openAPIV3Schema: lax };
  }
  return definition;
}
