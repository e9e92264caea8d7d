// A data plane that passes TCP on between loopback sockets, for tests: services of namespace `shop`
// with the endpoints that a test gives them, and what policy says. Endpoints are `shop/server`,
// 127.0.0.1 – the tests – is pod `shop/client`, unless a test says otherwise.
import { fastestNetwork, silentObserver, startDataplane } from '../../src/dataplane/index.ts';
import type {
  Dataplane,
  DataplaneLimits,
  TcpEnd,
  TcpFacts,
  TcpObserver,
} from '../../src/dataplane/index.ts';
import type { Network } from '../../src/lib/network.ts';
import { compileTable, type RouteTable } from '../../src/route/index.ts';
import type {
  AddressBinding,
  PermissionSpec,
  PolicyMode,
  RouteSpec,
  Section,
  ServiceRules,
} from '../../src/snapshot/index.ts';
import { createSlotMemory, SlotView } from '../../src/telemetry/index.ts';
import { defaultLimits, testRuntime, type TestEndpoint } from './dataplane-harness.ts';
import { eventually } from './dataplane-sockets.ts';
import {
  meshSection,
  namespacesSection,
  permissionSpec,
  permissionsSection,
  plainRules,
  recordsOf,
  routeTo,
  serviceSection,
  splitTo,
  workload,
} from './sections.ts';

export const tcpPort = 5432;

export type TcpMesh = {
  /** Endpoints by service; `db` is the one that is called. */
  readonly endpoints: Readonly<Record<string, readonly TestEndpoint[]>>;
  /** Weights of `db`'s split; absent: it is not split. */
  readonly weights?: Readonly<Record<string, number>>;
  readonly policy?: PolicyMode;
  /** What opens the pods to `shop/client`. */
  readonly permission?: Partial<PermissionSpec>;
  readonly rules?: Partial<ServiceRules>;
  /** Uid of the pod that has 127.0.0.1. */
  readonly clientUid?: string;
  /** False: it speaks another protocol now. */
  readonly isTcp?: boolean;
  readonly hasListener?: boolean;
};

export function tcpTable(mesh: TcpMesh, previous?: RouteTable): RouteTable {
  const { weights, rules, isTcp = true, hasListener = true } = mesh;
  const qualified = new Map<string, number>();
  for (const [name, weight] of Object.entries(weights ?? {})) qualified.set(`shop/${name}`, weight);
  const route: RouteSpec = weights === undefined
    ? routeTo('shop/db', tcpPort)
    : splitTo('split shop/db', Object.fromEntries(qualified), { port: tcpPort });
  const listener = {
    protocol: 'tcp',
    namespace: 'shop',
    service: 'db',
    servicePort: tcpPort,
    targetPort: 0,
  } as const;
  const protocol = isTcp ? 'tcp' : 'http';
  const sections: Section[] = [
    meshSection({ listeners: hasListener ? [listener] : [] }),
    namespacesSection(mesh.policy ?? 'off'),
    serviceSection('shop/db', {
      ports: [{ port: tcpPort, protocol, routes: [route] }],
      rules: { ...plainRules, ...rules },
    }),
    permissionsSection('shop/server', [
      permissionSpec({ sources: ['shop/client'], ...mesh.permission }),
    ]),
  ];
  for (const [service, endpoints] of Object.entries(mesh.endpoints)) {
    const specs = endpoints.map((one) => ({ ...one, nodeName: 'node-a', podName: 'server-1' }));
    const backend = { port: tcpPort, scheme: 'http', endpoints: specs } as const;
    sections.push({ kind: 'endpoints', namespace: 'shop', service, backends: [backend] });
  }
  const node = { nodeName: 'node-a', bindings: bindingsOf(mesh) };
  return compileTable(recordsOf(...sections), node, previous);
}

function bindingsOf({ endpoints, clientUid = 'client' }: TcpMesh): Map<string, AddressBinding> {
  const bind = (name: string, podUid: string): AddressBinding => ({
    kind: 'workload',
    isLocal: true,
    nodeName: 'node-a',
    workload: workload(name, { podUid }),
  });
  const bindings = new Map<string, AddressBinding>();
  for (const { address } of Object.values(endpoints).flat()) {
    bindings.set(address, bind('shop/server', address));
  }
  return bindings.set('127.0.0.1', bind('shop/client', clientUid));
}

/** What was told of one connection that has ended. */
export type Told = {
  readonly end: TcpEnd;
  readonly reason: string | undefined;
  readonly bytes: readonly [received: number, sent: number];
  readonly attempts: number;
};

export type TcpHarness = {
  readonly dataplane: Dataplane;
  readonly port: number;
  readonly bugs: readonly unknown[];
  readonly ended: readonly Told[];
  /** Opened, closed, and bytes as they were told while connections lived. */
  readonly counted: {
    opened: number;
    closed: number;
    received: number;
    sent: number;
    ejected: number;
  };
  readonly verdicts: readonly string[];
  readonly publish: (mesh: TcpMesh) => void;
  /** Of all endpoints, as the shared counters say. */
  readonly inFlight: () => number;
  /** Fails unless everything is back to zero; ends the data plane. */
  readonly expectQuiet: () => Promise<void>;
};

export async function startTcpHarness(
  mesh: TcpMesh,
  limits: Partial<DataplaneLimits> = {},
  ownNetwork: Partial<Network> = {},
): Promise<TcpHarness> {
  const memory = createSlotMemory({ split: 64, endpoint: 64, service: 64 });
  const slots = new SlotView(memory, { index: 0, count: 1 });
  const ids = Object.values(mesh.endpoints).flat().map(({ address, port }) => `${address}:${port}`);
  slots.apply({
    set: [
      ['service', 'shop/db', 1],
      ['split', `split shop/db:${tcpPort}`, 1],
      ...ids.map((id, index) => ['endpoint', id, index + 1] as const),
    ],
    freed: [],
  });
  const bugs: unknown[] = [];
  const watch = watchTcp();
  const dataplane = startDataplane({
    runtime: testRuntime,
    network: { ...(await fastestNetwork()).network, ...ownNetwork },
    ids: { requestId: () => 'request', traceparent: () => 'trace' },
    slots,
    limits: { ...defaultLimits, ...limits },
    bindAddresses: ['127.0.0.1'],
    localAddress: undefined,
    reusePort: false,
    trustedSources: [],
    // Whoever still holds bytes of a returned buffer sends these.
    bufferReturned: (buffer) => buffer.fill('!'),
    observer: { ...silentObserver, bugFound: (error) => bugs.push(error) },
    tcp: watch.observer,
    events: { listenersChanged: () => undefined },
  });
  let table = tcpTable(mesh);
  dataplane.publish(table);
  await eventually(() => dataplane.state().listeners[0]?.isOpen === true, 'a listener');
  const inFlight = (): number =>
    ids.reduce((sum, id) => sum + slots.inFlight(slots.offset('endpoint', id)), 0);
  return {
    dataplane,
    port: dataplane.state().listeners[0]?.openPort ?? 0,
    bugs,
    ...watch.seen,
    publish: (next) => {
      table = tcpTable(next, table);
      dataplane.publish(table);
    },
    inFlight,
    expectQuiet: async () => {
      const isQuiet = (): boolean => {
        const { connections, exchanges, bufferedBytes, bodyBuffers, deadlines, tcpConnections } =
          dataplane.state();
        const counts = [connections, exchanges, bufferedBytes, bodyBuffers, deadlines];
        return inFlight() === 0 && tcpConnections === 0 && counts.every((one) => one === 0);
      };
      await eventually(isQuiet, 'everything back to zero').catch((error: unknown) => {
        throw new Error(JSON.stringify(dataplane.state()), { cause: error });
      });
      dataplane.close();
      if (bugs.length > 0) throw new Error('bugs', { cause: bugs[0] });
    },
  };
}

/** An observer that remembers. */
export function watchTcp() {
  const ended: Told[] = [];
  const verdicts: string[] = [];
  const counted = { opened: 0, closed: 0, received: 0, sent: 0, ejected: 0 };
  const observer: TcpObserver = {
    tcpOpened: () => {
      counted.opened += 1;
      return {
        moved: (received, sent) => {
          counted.received += received;
          counted.sent += sent;
        },
        closed: () => {
          counted.closed += 1;
        },
      };
    },
    tcpJudged: (_, verdict) => {
      verdicts.push(verdict.kind === 'allow' ? 'allow' : `${verdict.kind} ${verdict.reason}`);
    },
    tcpRetried: () => undefined,
    tcpBudgetExhausted: () => undefined,
    tcpEjected: () => {
      counted.ejected += 1;
    },
    tcpWentPlain: () => undefined,
    tcpEnded: (facts: TcpFacts, end) => {
      const { reason, receivedBytes, sentBytes, attempts } = facts;
      ended.push({ end, reason, bytes: [receivedBytes, sentBytes], attempts });
    },
  };
  return { observer, seen: { ended, verdicts, counted } };
}
