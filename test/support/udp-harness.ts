// A data plane with one UDP service, `t/dns` port 53, on loopback sockets; clients and pods are
// sockets of the test. The time is the test's own: no time-out is waited for.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6, type AddressInfo } from 'node:net';
import { silentObserver, startDataplane } from '../../src/dataplane/index.ts';
import type {
  Dataplane,
  DataplaneState,
  FlowFacts,
  UdpObserver,
} from '../../src/dataplane/index.ts';
import type { DatagramNetwork } from '../../src/lib/datagrams.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { flowDatagrams } from '../../src/main/flow-datagrams.ts';
import { nodeNetwork } from '../../src/proxy/index.ts';
import { compileTable, withPeers } from '../../src/route/index.ts';
import type { RouteTable } from '../../src/route/index.ts';
import { backendId, endpointId } from '../../src/snapshot/index.ts';
import type {
  AddressBinding,
  EndpointsSection,
  MtlsMode,
  PeerPart,
  PermissionSpec,
  PolicyMode,
  ServiceRules,
} from '../../src/snapshot/index.ts';
import { createSlotMemory, SlotView } from '../../src/telemetry/index.ts';
import { until } from '../kube/support/until.ts';
import { defaultLimits } from './dataplane-harness.ts';
import { fakeTime, type FakeTime } from './fake-time.ts';
import {
  meshSection,
  namespacesSection,
  permissionsSection,
  permissionSpec,
  plainRules,
  recordsOf,
  serviceSection,
  workload,
} from './sections.ts';

export type PodPlace = { readonly address: string; readonly port: number };

export type UdpMeshOptions = {
  /** Backend → its pods; the service's own, unless said. */
  readonly backends?: Readonly<Record<string, readonly PodPlace[]>>;
  readonly pods?: readonly PodPlace[];
  /** Pods that live on and serve no more. */
  readonly leaving?: readonly PodPlace[];
  readonly weights?: Readonly<Record<string, number>>;
  readonly policy?: PolicyMode;
  /** What `t/client` may do with the pods; nothing unless said. */
  readonly permission?: Partial<PermissionSpec>;
  /** Addresses of `t/client`; a test's clients are nobody unless said. */
  readonly clients?: readonly string[];
  /** Which pod has the clients' addresses. */
  readonly clientPod?: string;
  readonly rules?: Partial<ServiceRules>;
  readonly peers?: PeerPart;
  readonly mtls?: MtlsMode;
  /** Where the pods are. */
  readonly podNode?: string;
  readonly hasListener?: boolean;
  readonly targetPort?: number;
};

const node = 'node-a';

/** The table of a mesh that has the one service. */
export function udpTable(said: UdpMeshOptions, previous?: RouteTable): RouteTable {
  const { pods = [], backends = { dns: pods }, targetPort = 0 } = said;
  const routed = Object.entries(said.weights ?? { dns: 1 }).map(([name, weight]) => {
    return { backend: backendId('t', name, 53, 'udp'), weight };
  });
  const routes = [{ name: 'service t/dns', matches: undefined, backends: routed }];
  const listener = { protocol: 'udp', namespace: 't', service: 'dns', servicePort: 53 } as const;
  const sections = recordsOf(
    meshSection({ listeners: said.hasListener === false ? [] : [{ ...listener, targetPort }] }),
    { ...namespacesSection(said.policy ?? 'off'), defaultMtls: said.mtls ?? 'off' },
    serviceSection('t/dns', {
      ports: [{ port: 53, protocol: 'udp', routes }],
      rules: { ...plainRules, ...said.rules },
    }),
    ...Object.entries(backends).map(([name, places]) => endpointsOf(name, places, said)),
    permissionsSection('t/server', [
      permissionSpec({ sources: ['t/client'], ...said.permission }),
    ]),
  );
  const bindings = new Map<string, AddressBinding>();
  for (const { address } of [...Object.values(backends).flat(), ...(said.leaving ?? [])]) {
    bindings.set(address, binding('t/server', said.podNode ?? node));
  }
  const podUid = said.clientPod ?? 'uid-client';
  for (const one of said.clients ?? []) bindings.set(one, binding('t/client', node, podUid));
  const table = compileTable(sections, { nodeName: node, bindings }, previous);
  return said.peers === undefined ? table : withPeers(table, said.peers);
}

function endpointsOf(
  service: string,
  places: readonly PodPlace[],
  { podNode = node }: UdpMeshOptions,
): EndpointsSection {
  const endpoints = places.map((place) => ({ ...place, nodeName: podNode, podName: 'p' }));
  const backend = { port: 53, transport: 'udp', scheme: 'http', endpoints } as const;
  return { kind: 'endpoints', namespace: 't', service, backends: [backend] };
}

function binding(principal: string, nodeName: string, podUid?: string): AddressBinding {
  const pod = workload(principal, podUid === undefined ? {} : { podUid });
  return { kind: 'workload', isLocal: nodeName === node, nodeName, workload: pod };
}

export type UdpHarnessOptions = UdpMeshOptions & {
  readonly bindAddress?: string;
  readonly flowsMax?: number;
  readonly network?: Partial<DatagramNetwork>;
};

/** What was counted, by kind and reason. */
export class UdpCounts {
  /** Errors that the data plane took for bugs of its own. */
  readonly bugs: unknown[] = [];
  readonly counts = new Map<string, number>();
  readonly opened: FlowFacts[] = [];

  add(what: string, count = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + count);
  }

  of(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  /** Counts what it is told. */
  observer(): UdpObserver {
    return {
      flowOpened: (facts) => {
        this.opened.push(facts);
        this.add('opened');
        return {
          received: (bytes) => this.add('received', bytes),
          sent: (bytes) => this.add('sent', bytes),
          ended: (why) => this.add(`ended ${why}`),
        };
      },
      flowJudged: (_, verdict) =>
        this.add(verdict.kind === 'allow' ? 'allow' : `${verdict.kind} ${verdict.reason}`),
      datagramDropped: (_, reason) => this.add(`dropped ${reason}`),
      flowWentPlain: (reason) => this.add(`plain ${reason}`),
      bugFound: (error) => this.bugs.push(error),
    };
  }
}

export type UdpHarness = {
  readonly dataplane: Dataplane;
  readonly place: PodPlace;
  readonly time: FakeTime;
  readonly counts: UdpCounts;
  /** Errors that the data plane took for bugs of its own; a test expects none. */
  readonly bugs: unknown[];
  readonly publish: (options: UdpMeshOptions) => void;
  readonly udp: () => NonNullable<DataplaneState['udp']>;
};

/** Starts a data plane and waits until it listens. */
export async function startUdpHarness(options: UdpHarnessOptions): Promise<UdpHarness> {
  const address = options.bindAddress ?? '127.58.0.2';
  const slots = new SlotView(createSlotMemory({ split: 8, endpoint: 64, service: 8 }), {
    index: 0,
    count: 1,
  });
  const places = [...(options.pods ?? []), ...Object.values(options.backends ?? {}).flat()];
  const endpoints = places.map((one, index) => {
    return ['endpoint', endpointId(one.address, one.port, 'udp'), index + 1] as const;
  });
  slots.apply({ set: [['split', 'service t/dns:53/udp', 1], ...endpoints], freed: [] });
  const time = fakeTime();
  const counts = new UdpCounts();
  const { bugs } = counts;
  const dataplane = startDataplane({
    runtime: { ...time, random: seededRandom(7) },
    network: nodeNetwork(),
    ids: { requestId: () => 'id', traceparent: () => '' },
    slots,
    limits: defaultLimits,
    bindAddresses: [address],
    localAddress: undefined,
    reusePort: false,
    trustedSources: [],
    observer: { ...silentObserver, bugFound: (error) => bugs.push(error) },
    udp: {
      network: { ...flowDatagrams, ...options.network },
      workerCount: 1,
      flowsMax: options.flowsMax,
      observer: counts.observer(),
    },
    events: { listenersChanged: () => undefined },
  });
  let table = udpTable(options);
  dataplane.publish(table);
  dataplane.ownUdp(() => true);
  const udp = (): NonNullable<DataplaneState['udp']> => {
    const state = dataplane.state().udp;
    if (state === undefined) throw new Error('there is no UDP');
    return state;
  };
  await until('it listens', () => udp().listeners.every(({ isOpen }) => isOpen));
  return {
    dataplane,
    place: { address, port: udp().listeners[0]?.openPort ?? 0 },
    time,
    counts,
    bugs,
    publish: (mesh) => {
      table = udpTable(mesh, table);
      dataplane.publish(table);
    },
    udp,
  };
}

/** A socket of a client or a pod. */
export class TestDatagrams {
  readonly #socket: Socket;
  #isClosed = false;
  readonly received: { readonly text: string; readonly port: number; readonly from: string }[] = [];
  /** What is answered; undefined: nothing. */
  answer: ((data: Buffer) => Buffer | string | undefined) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (data, { port, address }) => {
      this.received.push({ text: data.toString(), port, from: address });
      const answer = this.answer?.(data);
      if (answer !== undefined) socket.send(answer, port, address);
    });
    // A client goes on when nobody can be reached.
    socket.on('error', () => undefined);
  }

  static async open(address: string): Promise<TestDatagrams> {
    const type = isIPv6(address) ? 'udp6' : 'udp4';
    const socket = createSocket({ type, recvBufferSize: 4 * 1024 * 1024 });
    socket.bind(0, address);
    await once(socket, 'listening');
    return new TestDatagrams(socket);
  }

  /** A pod that answers with its name and what it got. */
  static async pod(address: string, name = 'pod'): Promise<TestDatagrams> {
    const pod = await TestDatagrams.open(address);
    pod.answer = (data) => `${name} ${data.toString()}`;
    return pod;
  }

  get place(): PodPlace {
    const { address, port }: AddressInfo = this.#socket.address();
    return { address, port };
  }

  send(data: string | Buffer, { address, port }: PodPlace): void {
    this.#socket.send(data, port, address, () => undefined);
  }

  /** Sends, and waits for one more answer. */
  async ask(data: string | Buffer, to: PodPlace): Promise<string> {
    const before = this.received.length;
    this.send(data, to);
    await until(`an answer to ${data.length} bytes`, () => this.received.length > before, 5_000);
    return this.received.at(-1)?.text ?? '';
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }

  /** Where what came last came from. */
  lastFrom(): PodPlace {
    const last = this.received.at(-1);
    return { address: last?.from ?? '', port: last?.port ?? 0 };
  }
}
