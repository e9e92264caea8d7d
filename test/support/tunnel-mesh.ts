// Two or more nodes on loopback for tests of tunnels: each a real data plane with an address of its
// own, real certificates of one authority, a client's pod and a called pod with addresses too. Node
// `node-a` is 127.0.0.2, `node-b` 127.0.0.3; pods of node-a are 127.0.1.x, of node-b 127.0.2.x.
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import net from 'node:net';
import { fastestNetwork, silentObserver, startDataplane } from '../../src/dataplane/index.ts';
import { fastestTlsNetwork } from '../../src/dataplane/index.ts';
import type {
  Dataplane,
  DataplaneLimits,
  ExchangeFacts,
  ExchangeObserver,
  ExchangeOutcome,
  HandshakeFacts,
  TcpObserver,
  UdpObserver,
} from '../../src/dataplane/index.ts';
import { checkAuthority, issueLeaf, makeRoot } from '../../src/identity/control.ts';
import type { Authority } from '../../src/identity/control.ts';
import type { Network, SecureNetwork } from '../../src/lib/network.ts';
import { formatSpiffeId } from '../../src/identity/index.ts';
import type { Credential, SpiffeId } from '../../src/identity/index.ts';
import { compileTable, withPeers } from '../../src/route/index.ts';
import type { RouteTable, Verdict } from '../../src/route/index.ts';
import type {
  AddressBinding,
  EndpointsSection,
  ListenerSpec,
  MatchSpec,
  MtlsMode,
  PeerPart,
  PermissionSpec,
  PodTlsSpec,
  PolicyMode,
  Section,
  ServiceRules,
} from '../../src/snapshot/index.ts';
import { backendId } from '../../src/snapshot/index.ts';
import { flowDatagrams } from '../../src/main/flow-datagrams.ts';
import { createSlotMemory, SlotView } from '../../src/telemetry/index.ts';
import { defaultLimits, testRuntime } from './dataplane-harness.ts';
import type { TestEndpoint } from './dataplane-harness.ts';
import { freePort, Peer } from './dataplane-sockets.ts';
import {
  matchSpec,
  meshSection,
  permissionsSection,
  permissionSpec,
  plainRules,
  recordsOf,
  routeTo,
  serviceSection,
  workload,
} from './sections.ts';

export const trustDomain = 'test.local';

export function spiffe(name: string): SpiffeId {
  const [namespace = '', serviceAccount = ''] = name.split('/');
  const id = formatSpiffeId({ trustDomain, namespace, serviceAccount });
  if (id === undefined) throw new Error(`${name} names nobody`);
  return id;
}

export const proxyId = spiffe('weft-system/weft-proxy');

/** An authority that a test has made, and its leaves. */
export class TestAuthority {
  readonly rootPem: string;
  readonly #key: KeyObject;
  readonly #authority: Authority;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    this.rootPem = makeRoot({
      trustDomain,
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
      serial: randomBytes(16),
      nowMs: Date.now(),
      sign: (bytes) => sign('sha256', bytes, privateKey),
    });
    const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const options = { chainPem: this.rootPem, keyPem, trustDomain, nowMs: Date.now() };
    const verdict = checkAuthority(options);
    if (verdict.kind !== 'authority') throw new Error(JSON.stringify(verdict.problems));
    this.#authority = verdict;
  }

  /** A certificate of `name` (`ns/sa`) for a node. */
  credential(id: SpiffeId, node: string, lifetimeMs = 86_400_000): Credential {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const der = publicKey.export({ type: 'spki', format: 'der' });
    const issued = issueLeaf({
      leaf: { spiffeId: id, node, publicKey: der, lifetimeMs },
      authority: this.#authority,
      serial: randomBytes(16),
      nowMs: Date.now(),
      sign: (bytes) => sign('sha256', bytes, this.#key),
    });
    if (issued.kind !== 'issued') throw new Error(issued.message);
    const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return { id, certificatePem: issued.pem, keyPem, notAfterMs: issued.notAfterMs };
  }
}

export type NodeName = 'node-a' | 'node-b';

export const nodeAddress: Readonly<Record<NodeName, string>> = {
  'node-a': '127.0.0.2',
  'node-b': '127.0.0.3',
};

/** A pod, its address, its `namespace/serviceAccount`, its node. */
export type TestPod = {
  readonly address: string;
  readonly account: string;
  readonly node: NodeName;
};

export const clientPod: TestPod = { address: '127.0.1.1', account: 't/client', node: 'node-a' };
export const otherPod: TestPod = { address: '127.0.1.2', account: 't/other', node: 'node-a' };
export const serverPod: TestPod = { address: '127.0.2.1', account: 't/server', node: 'node-b' };

export type WorldOptions = {
  /** Of `t/h1`, with the node that the slice names. */
  readonly endpoints: readonly (TestEndpoint & { readonly node: string })[];
  readonly pods?: readonly TestPod[];
  /** Of `t/copy`; absent: there is no such Service. */
  readonly copies?: readonly (TestEndpoint & { readonly node: string })[];
  /** Under which Host `t/client` may call `t/copy` where policy is enforced. */
  readonly copyHost?: string;
  readonly policy?: PolicyMode;
  /** What `t/client` may GET at `t/server` where policy is enforced. */
  readonly allowedPath?: string;
  /** … and under which Host. */
  readonly allowedHost?: string;
  readonly mtls?: MtlsMode;
  /** What the pods of `t/h1` speak. */
  readonly scheme?: 'http' | 'h2c' | 'https';
  /** With `https`. */
  readonly tls?: PodTlsSpec;
  readonly rules?: Partial<ServiceRules>;
  readonly peers?: PeerPart;
  /** Where node-a listens for TCP service `t/db`, which has the same endpoints; absent: nowhere. */
  readonly tcpPort?: number;
  /** What `t/client` may do at `t/server` by TCP where policy is enforced. */
  readonly tcp?: PermissionSpec['tcp'];
  /** The same for UDP service `t/dns`. */
  readonly udpPort?: number;
  readonly udp?: PermissionSpec['udp'];
};

const bothPeers: PeerPart = {
  nodes: new Map([
    ['127.0.0.2', ['node-a']],
    ['127.0.0.3', ['node-b']],
  ]),
  dial: new Map([
    ['node-a', ['127.0.0.2']],
    ['node-b', ['127.0.0.3']],
  ]),
  bare: new Set(),
  deaf: new Set(),
  knowsAllPods: true,
};

/** The table of one node in this world. */
export function worldTable(node: NodeName, world: WorldOptions): RouteTable {
  const pods = world.pods ?? [clientPod, otherPod, serverPod];
  const sections = recordsOf(
    meshSection({ listeners: listenersIn(world) }),
    {
      kind: 'namespaces',
      defaultPolicy: world.policy ?? 'off',
      defaultMtls: world.mtls ?? 'strict',
      namespaces: [],
    },
    serviceSection('t/h1', { rules: { ...plainRules, ...world.rules } }),
    serviceSection('t/db', {
      rules: { ...plainRules, ...world.rules },
      ports: [{ port: 5432, protocol: 'tcp', routes: [routeTo('t/db', 5432)] }],
    }),
    serviceSection('t/dns', {
      rules: { ...plainRules, ...world.rules },
      ports: [{ port: 53, protocol: 'udp', routes: [udpRoute] }],
    }),
    ...copySections(world),
    endpointsIn(world, 'dns', 53),
    endpointsIn(world, 'h1', 80),
    endpointsIn(world, 'db', 5432),
    permissionsSection('t/server', [
      permissionSpec({
        sources: ['t/client'],
        http: {
          ports: undefined,
          matches: [matchOf(world)],
        },
        tcp: world.tcp,
        udp: world.udp,
      }),
    ]),
  );
  const bindings = new Map<string, AddressBinding>(
    pods.map(({ address, account, node: nodeName }) => [
      address,
      { kind: 'workload', isLocal: nodeName === node, nodeName, workload: workload(account) },
    ]),
  );
  const table = compileTable(sections, { nodeName: node, bindings });
  return withPeers(table, world.peers ?? bothPeers);
}

function copySections(world: WorldOptions): readonly Section[] {
  const { copies, copyHost = 'nobody' } = world;
  if (copies === undefined) return [];
  const matches = [matchOf({ endpoints: [], allowedHost: copyHost })];
  const http = { ports: undefined, matches };
  return [
    serviceSection('t/copy'),
    endpointsIn({ ...world, endpoints: copies }, 'copy', 80),
    permissionsSection('t/copy', [permissionSpec({ sources: ['t/client'], http })]),
  ];
}

const udpRoute = {
  name: 'service t/dns',
  matches: undefined,
  backends: [{ backend: backendId('t', 'dns', 53, 'udp'), weight: 1 }],
};

function listenersIn({ tcpPort, udpPort }: WorldOptions): readonly ListenerSpec[] {
  const listeners: ListenerSpec[] = [{ protocol: 'http', servicePort: 80, targetPort: 0 }];
  const db = { namespace: 't', service: 'db', servicePort: 5432 };
  if (tcpPort !== undefined) listeners.push({ protocol: 'tcp', ...db, targetPort: tcpPort });
  const dns = { namespace: 't', service: 'dns', servicePort: 53 };
  if (udpPort !== undefined) listeners.push({ protocol: 'udp', ...dns, targetPort: udpPort });
  return listeners;
}

function endpointsIn(world: WorldOptions, service: string, port: number): EndpointsSection {
  const endpoints = world.endpoints.map(({ address, port: podPort, node: nodeName }) => {
    return { address, port: podPort, nodeName, podName: 'p' };
  });
  const transport = service === 'dns' ? ({ transport: 'udp' } as const) : {};
  const scheme = world.scheme ?? 'http';
  const backend = { port, scheme, tls: world.tls, endpoints, ...transport } as const;
  return { kind: 'endpoints', namespace: 't', service, backends: [backend] };
}

function matchOf({ allowedPath, allowedHost }: WorldOptions): MatchSpec {
  const headers = allowedHost === undefined ? [] : [{ name: 'host', pattern: allowedHost }];
  return matchSpec({ pathRegex: allowedPath ?? '/.*', headers });
}

export type NodeOptions = {
  readonly tunnelPort: number;
  readonly limits?: Partial<DataplaneLimits>;
  readonly observer?: Partial<ExchangeObserver>;
  /** Of accepted tunnels. */
  readonly silenceMs?: number;
  /** Absent: the fastest that this Node allows. */
  readonly secureNetwork?: SecureNetwork;
  /** Absent: it serves no TCP. */
  readonly tcp?: TcpObserver;
  /** Absent: it serves no UDP. */
  readonly udp?: UdpObserver;
  readonly udpFlowsMax?: number | undefined;
};

/** One node's data plane, and what it has told. */
export class TestNode {
  readonly name: NodeName;
  readonly dataplane: Dataplane;
  readonly bugs: unknown[] = [];
  readonly handshakes: HandshakeFacts[] = [];
  readonly verdicts: Verdict[] = [];
  readonly plain: string[] = [];
  readonly exchanges: { facts: ExchangeFacts; outcome: ExchangeOutcome }[] = [];
  readonly slots: SlotView;
  #changed: () => void = () => undefined;

  private constructor(at: Place, options: NodeOptions, networks: Networks) {
    const { name, address } = at;
    this.name = name;
    const memory = createSlotMemory({ split: 64, endpoint: 64, service: 64 });
    this.slots = new SlotView(memory, { index: 0, count: 1 });
    let count = 0;
    this.dataplane = startDataplane({
      runtime: testRuntime,
      network: networks.plain,
      secure: networks.secure,
      ids: {
        requestId: () => `request-${(count += 1)}`,
        traceparent: () => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      },
      slots: this.slots,
      limits: { ...defaultLimits, ...options.limits },
      bindAddresses: [address],
      localAddress: address,
      reusePort: false,
      trustedSources: [],
      tunnels: {
        network: networks.secure,
        port: options.tunnelPort,
        trustDomain,
        proxyId,
        build: `test-${name}`,
        silenceMs: options.silenceMs,
      },
      tcp: options.tcp,
      udp: options.udp && {
        network: flowDatagrams,
        observer: options.udp,
        workerCount: 1,
        flowsMax: options.udpFlowsMax,
      },
      bufferReturned: (buffer) => buffer.fill('!'),
      observer: {
        ...silentObserver,
        policyDecided: (_, verdict) => this.verdicts.push(verdict),
        tunnelHandshake: (facts) => this.handshakes.push(facts),
        wentPlain: (reason) => this.plain.push(reason),
        exchangeFinished: (facts, outcome) => this.exchanges.push({ facts, outcome }),
        ...options.observer,
        bugFound: (error) => this.bugs.push(error),
      },
      events: { listenersChanged: () => this.#changed() },
    });
    this.dataplane.ownUdp(() => true);
  }

  static start(name: NodeName, options: NodeOptions): Promise<TestNode> {
    return TestNode.startAt(nodeAddress[name], name, options);
  }

  /** Another proxy of a node. */
  static async startAt(
    address: string,
    name: NodeName,
    options: NodeOptions,
  ): Promise<TestNode> {
    return new TestNode({ name, address }, options, {
      plain: (await fastest).network,
      secure: options.secureNetwork ?? (await fastestSecure).network,
    });
  }

  /** Resolves when it listens. */
  publish(table: RouteTable): Promise<void> {
    this.dataplane.publish(table);
    return this.#until(() => this.dataplane.state().listeners.every(({ isOpen }) => isOpen));
  }

  async identify(authority: TestAuthority, ...accounts: readonly string[]): Promise<void> {
    this.dataplane.identify({
      trustPem: authority.rootPem,
      own: authority.credential(proxyId, this.name),
      set: accounts.map((account) => authority.credential(spiffe(account), this.name)),
      removed: [],
    });
    await this.#until(() => {
      const listeners = this.dataplane.state().tunnels?.listeners ?? [];
      return listeners.length > 0 && listeners.every(({ isOpen }) => isOpen);
    });
  }

  get port(): number {
    return this.dataplane.state().listeners[0]?.openPort ?? 0;
  }

  /** Results of handshakes on one side, in order. */
  results(side: 'client' | 'server'): readonly string[] {
    return this.handshakes.filter((one) => one.side === side).map(({ result }) => result);
  }

  #until(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = () => {
        if (isSo()) resolve();
      };
      this.#changed();
    });
  }
}

type Place = { readonly name: NodeName; readonly address: string };

type Networks = { readonly plain: Network; readonly secure: SecureNetwork };

const fastest = fastestNetwork();
// Trials of one process do not run at the same time.
const fastestSecure = fastest.then(() => fastestTlsNetwork());

/** What builds speak that know no lanes (docs/design/0013). */
export async function olderNetwork(): Promise<SecureNetwork> {
  const { network } = await fastestSecure;
  const known = (name: string): boolean => name !== 'weft-h1/2';
  return {
    ...network,
    context: (terms) => network.context({ ...terms, alpn: terms.alpn.filter(known) }),
  };
}

/** How requests go between nodes: on lanes of one session, or each on a tunnel of its own. */
export const carriers = ['lanes', 'tunnels of their own'] as const;

export async function carriedOn(how: (typeof carriers)[number]) {
  return how === 'lanes' ? {} : { secureNetwork: await olderNetwork() };
}

/** Two nodes with one authority; certificates of the given accounts on node-a. */
export class TunnelMesh {
  readonly a: TestNode;
  readonly b: TestNode;
  readonly authority: TestAuthority;
  readonly tunnelPort: number;
  readonly peers: Peer[] = [];

  private constructor(a: TestNode, b: TestNode, authority: TestAuthority, tunnelPort: number) {
    this.a = a;
    this.b = b;
    this.authority = authority;
    this.tunnelPort = tunnelPort;
  }

  static async start(
    world: WorldOptions,
    options: Omit<NodeOptions, 'tunnelPort'> = {},
    ofB: Omit<NodeOptions, 'tunnelPort'> = options,
  ) {
    const tunnelPort = await freePort('127.0.0.3');
    const a = await TestNode.start('node-a', { tunnelPort, ...options });
    const b = await TestNode.start('node-b', { tunnelPort, ...ofB });
    const mesh = new TunnelMesh(a, b, new TestAuthority(), tunnelPort);
    await a.identify(mesh.authority, 't/client', 't/other');
    await b.identify(mesh.authority, 't/server');
    await mesh.publish(world);
    return mesh;
  }

  async publish(world: WorldOptions): Promise<void> {
    await this.a.publish(worldTable('node-a', world));
    await this.b.publish(worldTable('node-b', world));
  }

  /** A connection of a pod of node-a to its proxy. */
  async client(pod = clientPod): Promise<Peer> {
    const peer = await connectFrom(pod.address, nodeAddress['node-a'], this.a.port);
    this.peers.push(peer);
    return peer;
  }

  close(): void {
    for (const peer of this.peers.splice(0)) peer.socket.destroy();
    this.a.dataplane.close();
    this.b.dataplane.close();
  }
}

export function connectFrom(localAddress: string, host: string, port: number): Promise<Peer> {
  return new Promise((done, fail) => {
    const socket = net.connect({ port, host, localAddress, allowHalfOpen: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      done(new Peer(socket));
    });
  });
}
