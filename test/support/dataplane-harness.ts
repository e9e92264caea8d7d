// A data plane on loopback sockets for tests: one service `h1` in namespace `t`, port 80, with the
// endpoints that a test gives it. Policy is off unless a test says otherwise. The clock is the real
// one; time-outs are short where a test waits for them.
import { performance } from 'node:perf_hooks';
import {
  fastestNetwork,
  fastestTlsNetwork,
  startDataplane,
  silentObserver,
} from '../../src/dataplane/index.ts';
import type { Dataplane, DataplaneLimits, ExchangeObserver } from '../../src/dataplane/index.ts';
import type { Runtime, Timers } from '../../src/lib/clock.ts';
import type { Network } from '../../src/lib/network.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { compileTable } from '../../src/route/index.ts';
import type { RouteTable, SectionRecords } from '../../src/route/index.ts';
import { backendId } from '../../src/snapshot/index.ts';
import type {
  AddressBinding,
  PodTlsSpec,
  Section,
  SectionId,
  SectionRecord,
  ServiceRules,
} from '../../src/snapshot/index.ts';
import { createSlotMemory, SlotView } from '../../src/telemetry/index.ts';
import type { SlotDelta, SlotMemory, SlotWorker } from '../../src/telemetry/index.ts';

export const plainRules: ServiceRules = {
  upstreamHost: undefined,
  retryAttempts: undefined,
  retryOn: [],
  retryBudgetPercent: 20,
  timeoutMs: undefined,
  connectTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  perTryTimeoutMs: undefined,
  maxRequestBodyBytes: undefined,
  isStopped: false,
};

export const defaultLimits: DataplaneLimits = {
  headBytesMax: 32 * 1024,
  targetBytesMax: 8 * 1024,
  fieldsMax: 128,
  pipelinedMax: 64,
  streamsMax: 1_000,
  connectionsMax: 1_000,
  requestBodyBytesMax: undefined,
  bufferedBytesMax: 256 * 1024 * 1024,
  headTimeoutMs: 10_000,
  keepAliveTimeoutMs: 60_000,
  bodyTimeoutMs: 30_000,
  idleTimeoutMs: 300_000,
  connectTimeoutMs: 5_000,
};

export const testRuntime: Runtime = {
  clock: { nowMs: () => performance.now(), wallMs: () => Date.now() },
  timers: {
    after: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs);
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
  },
  random: seededRandom(7),
};

export type TestEndpoint = { readonly address: string; readonly port: number };

export type MeshOptions = {
  readonly endpoints: readonly TestEndpoint[];
  readonly rules?: Partial<ServiceRules>;
  /** `enforce`: only 127.0.0.1 is a workload, and may GET what matches this path pattern. */
  readonly allowedPath?: string;
  readonly targetPort?: number;
  /** How its pods are spoken to; `http` unless said. */
  readonly scheme?: 'http' | 'h2c' | 'https';
  /** With `https`. */
  readonly tls?: PodTlsSpec;
  /** Of the only backend; 1 unless said. */
  readonly weight?: number;
  /** Another name of the service, for programs that call what they connect to. */
  readonly alias?: string;
};

const serviceName = 'h1';
const namespace = 't';

/** The table of a mesh that has the one service. */
export function meshTable(options: MeshOptions): RouteTable {
  const id = backendId(namespace, serviceName, 80);
  const weight = options.weight ?? 1;
  const isEnforced = options.allowedPath !== undefined;
  const match = {
    name: 'g/public',
    pathRegex: options.allowedPath,
    methods: undefined,
    headers: [],
  };
  const sections: readonly (readonly [string, Section])[] = [
    [
      'mesh',
      {
        kind: 'mesh',
        meshDomains: ['mesh'],
        clusterDomain: 'cluster.local',
        listeners: [{ protocol: 'http', servicePort: 80, targetPort: options.targetPort ?? 0 }],
        addresses: [],
        places: [],
      },
    ],
    [
      'namespaces',
      {
        kind: 'namespaces',
        defaultPolicy: isEnforced ? 'enforce' : 'off',
        defaultMtls: 'off',
        namespaces: [],
      },
    ],
    [
      'service/t/h1',
      {
        kind: 'service',
        namespace,
        name: serviceName,
        hostnames: ['h1.t.mesh', ...(options.alias === undefined ? [] : [options.alias])],
        aliases: [],
        place: undefined,
        ports: [
          {
            port: 80,
            protocol: 'http',
            routes: [
              { name: 'service t/h1', matches: undefined, backends: [{ backend: id, weight }] },
            ],
          },
        ],
        rules: { ...plainRules, ...options.rules },
      },
    ],
    [
      'endpoints/t/h1',
      {
        kind: 'endpoints',
        namespace,
        service: serviceName,
        backends: [
          {
            port: 80,
            scheme: options.scheme ?? 'http',
            tls: options.tls,
            endpoints: options.endpoints.map((one) => ({ ...one, nodeName: 'n', podName: 'p' })),
          },
        ],
      },
    ],
    [
      'permissions/t/server',
      {
        kind: 'permissions',
        namespace,
        serviceAccount: 'server',
        permissions: [
          {
            target: 'allow',
            sources: ['t/client'],
            http: { ports: undefined, matches: [match] },
            tcp: undefined,
            udp: undefined,
          },
        ],
      },
    ],
  ];
  return compileTable(recordsOf(sections), { nodeName: 'n', bindings: bindingsOf(options) });
}

function recordsOf(sections: readonly (readonly [string, Section])[]): SectionRecords {
  return new Map<SectionId, SectionRecord>(
    sections.map(([name, section]) => {
      const id = name as SectionId;
      const text = JSON.stringify(section);
      return [id, { id, text, section }];
    }),
  );
}

/** Endpoints run as `t/server`, 127.0.0.1 – the tests – as `t/client`. */
function bindingsOf(options: MeshOptions): ReadonlyMap<string, AddressBinding> {
  const bind = (serviceAccount: string): AddressBinding => ({
    kind: 'workload',
    isLocal: true,
    nodeName: 'node-a',
    workload: {
      namespace,
      serviceAccount,
      workload: `Deployment/${serviceAccount}`,
      podName: serviceAccount,
      podUid: serviceAccount,
    },
  });
  const bindings = new Map<string, AddressBinding>();
  for (const one of options.endpoints) bindings.set(one.address, bind('server'));
  bindings.set('127.0.0.1', bind('client'));
  return bindings;
}

export type HarnessOptions = MeshOptions & {
  readonly limits?: Partial<DataplaneLimits>;
  readonly observer?: Partial<ExchangeObserver>;
  readonly trustedSources?: readonly string[];
  readonly network?: Partial<Network>;
  /** Absent: real ones. */
  readonly timers?: Timers;
  /** One of several workers of a proxy, who share their live numbers. */
  readonly worker?: SlotWorker & { readonly memory: SlotMemory };
};

/** Live numbers for the harness, for several workers. */
export function harnessMemory(): SlotMemory {
  return createSlotMemory({ split: 64, endpoint: 64, service: 64 });
}

/** What a worker uses; a test that wants plain sockets says so. */
const fastest = fastestNetwork();
const fastestTls = fastestTlsNetwork();

/** Slot 0 is nobody's own. */
const firstEndpointSlot = 1;

/** Slots of the service and of its endpoints. */
export function harnessSlots({ endpoints }: Pick<MeshOptions, 'endpoints'>): SlotDelta {
  const set = endpoints.map((one, index) => {
    return ['endpoint', `${one.address}:${one.port}`, firstEndpointSlot + index] as const;
  });
  return { set: [['service', 't/h1', 1], ...set], freed: [] };
}

export type Harness = {
  readonly dataplane: Dataplane;
  readonly port: number;
  readonly slots: SlotView;
  /** Errors that the data plane took for bugs of its own; a test expects none. */
  readonly bugs: unknown[];
  readonly publish: (options: MeshOptions) => void;
  /** Requests in flight at all endpoints, as the shared counters say. */
  readonly inFlight: () => number;
};

/** Starts a data plane and waits until it listens. */
export async function startHarness(options: HarnessOptions): Promise<Harness> {
  const { memory, ...worker } = options.worker ?? { memory: harnessMemory(), index: 0, count: 1 };
  const slots = new SlotView(memory, worker);
  slots.apply(harnessSlots(options));
  const bugs: unknown[] = [];
  let count = 0;
  let opened: () => void = () => undefined;
  const listening = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const dataplane = startDataplane({
    runtime: { ...testRuntime, timers: options.timers ?? testRuntime.timers },
    network: { ...(await fastest).network, ...options.network },
    secure: (await fastestTls).network,
    ids: {
      requestId: () => `request-${(count += 1)}`,
      traceparent: () => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
    slots,
    limits: { ...defaultLimits, ...options.limits },
    bindAddresses: ['127.0.0.1'],
    localAddress: undefined,
    reusePort: false,
    trustedSources: options.trustedSources ?? [],
    // Whoever still holds bytes of a returned buffer sends these.
    bufferReturned: (buffer) => buffer.fill('!'),
    observer: {
      ...silentObserver,
      ...options.observer,
      bugFound: (error) => {
        bugs.push(error);
        options.observer?.bugFound?.(error);
      },
    },
    events: { listenersChanged: () => opened() },
  });
  dataplane.publish(meshTable(options));
  await listening;
  const port = dataplane.state().listeners[0]?.openPort;
  if (port === undefined) throw new Error('the data plane does not listen');
  return {
    dataplane,
    port,
    slots,
    bugs,
    publish: (mesh) => dataplane.publish(meshTable(mesh)),
    inFlight: () =>
      options.endpoints
        .map(({ address, port: target }) => slots.offset('endpoint', `${address}:${target}`))
        .reduce((sum, cell) => sum + (slots.cells.endpoint[cell] ?? 0), 0),
  };
}
