// A worker in this process, on loopback sockets: what it takes over, what it refuses, what it tells
// the control thread. What happens to a request is the data plane's business and tested there.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../test/kube/support/until.ts';
import { defaultLimits, testRuntime } from '../../test/support/dataplane-harness.ts';
import {
  endpointsSection,
  meshSection,
  namespacesSection,
  nodePart,
  permissionsSection,
  permissionSpec,
  serviceSection,
  workload,
} from '../../test/support/sections.ts';
import type { ConnectOptions, Network } from '../lib/network.ts';
import { flowDatagrams } from '../main/flow-datagrams.ts';
import {
  buildSnapshot,
  diffNodePart,
  diffSnapshot,
  type AddressBinding,
  type Snapshot,
} from '../snapshot/index.ts';
import { createMeterMemory, createSlotMemory } from '../telemetry/index.ts';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.ts';
import { nodeNetwork, startWorker, tlsNetwork } from './worker.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Where workers and pods listen: nobody else's, so that a port that was free stays free. */
const home = '127.54.0.1';
/** Whose address it is, a test says. */
const caller = '127.54.0.7';

class TestWorker {
  readonly told: FromWorker[] = [];
  readonly connects: ConnectOptions[] = [];
  readonly send: (message: ToWorker) => void;

  constructor(settings: Partial<WorkerSettings> = {}) {
    const real = nodeNetwork();
    const network: Network = {
      listen: (options, events) => {
        const listener = real.listen(options, events);
        cleanups.push(() => listener.close());
        return listener;
      },
      connect: (options) => {
        this.connects.push(options);
        return real.connect(options);
      },
    };
    this.send = startWorker(
      {
        index: 0,
        count: 1,
        nodeName: 'node-a',
        slots: createSlotMemory({ split: 8, endpoint: 8, service: 8 }),
        meters: createMeterMemory(64),
        settings: {
          bindAddresses: [home],
          usesReusePort: false,
          trustedSources: [],
          accessLog: 'all',
          testHooks: false,
          limits: defaultLimits,
          ...settings,
        },
      },
      {
        runtime: testRuntime,
        network,
        secureNetwork: tlsNetwork(),
        datagrams: flowDatagrams,
        hasDirectSockets: true,
        ids: { requestId: () => 'id', traceparent: () => `00-${'a'.repeat(32)}-bbbb-00` },
        post: (message) => this.told.push(message),
      },
    );
  }

  of<K extends FromWorker['kind']>(kind: K): readonly Extract<FromWorker, { kind: K }>[] {
    return this.told.filter((one): one is Extract<FromWorker, { kind: K }> => one.kind === kind);
  }

  update(sequence: number, parts: Partial<Extract<ToWorker, { kind: 'update' }>>): void {
    const nothing = { slots: undefined, snapshot: undefined, node: undefined };
    this.send({ kind: 'update', sequence, ...nothing, ...parts });
  }

  /** Resolves when its only listener is open. */
  async listening(): Promise<number> {
    await until('the listener is open', () => this.of('applied').at(-1)?.openPorts.length === 1);
    return this.of('applied').at(-1)?.openPorts[0] ?? 0;
  }

  /** Status and reason of a request from the caller's address. */
  async ask(hostname = 'web.shop.mesh'): Promise<string> {
    const options = {
      host: home,
      port: await this.listening(),
      localAddress: caller,
      headers: { host: hostname },
      agent: false,
    };
    return new Promise((resolve, reject) => {
      http
        .get(options, (response) => {
          const said = [response.statusCode, response.headers['weft-reason']];
          response.resume().on('end', () => resolve(said.filter(Boolean).join(' ')));
        })
        .on('error', reject);
    });
  }
}

/** An HTTP server that is the pod behind shop/web; the answer is its port. */
async function startPod(): Promise<number> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.end('well');
  });
  await new Promise<void>((resolve) => server.listen(0, home, resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return portOf(server);
}

async function freePort(): Promise<number> {
  const server = http.createServer();
  await new Promise<void>((resolve) => server.listen(0, home, resolve));
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function portOf(server: http.Server): number {
  // A TCP server that listens has an AddressInfo.
  return (server.address() as AddressInfo).port;
}

function listenerOn(targetPort: number) {
  return meshSection({ listeners: [{ protocol: 'http', servicePort: 80, targetPort }] });
}

/** Namespace `shop` is enforced; `shop/front` may call `web`. */
async function snapshotWith(): Promise<Snapshot> {
  return buildSnapshot([
    listenerOn(await freePort()),
    namespacesSection('off', { shop: 'enforce' }),
    serviceSection('shop/web'),
    endpointsSection('shop/web', [`${home}:${await startPod()}`]),
    permissionsSection('shop/web', [permissionSpec({ sources: ['shop/front'], http: anything })]),
  ]);
}

function withService(snapshot: Snapshot, name: string): Snapshot {
  const sections = [...snapshot.sections.values()].map(({ section }) => section);
  return buildSnapshot([...sections, serviceSection(name)]);
}

const anything = { ports: undefined, matches: undefined };

/** The pod's address, and whose the caller's is. */
function addressesWith(callerName?: string) {
  const binding = (name: string): AddressBinding => ({
    kind: 'workload',
    isLocal: true,
    nodeName: 'node-a',
    workload: workload(name),
  });
  const bindings = new Map([[home, binding('shop/web')]]);
  if (callerName !== undefined) bindings.set(caller, binding(callerName));
  return diffNodePart(undefined, nodePart(bindings));
}

describe('updates', () => {
  test('a worker says that it has started, and confirms nothing before it has a snapshot', () => {
    const worker = new TestWorker();
    expect(worker.told).toEqual([{ kind: 'started', hasDirectSockets: true }]);
    worker.update(1, { node: addressesWith('shop/front') });
    expect(worker.of('applied')).toEqual([]);
  });

  test('a snapshot is confirmed at once, and again when its listeners are open', async () => {
    const worker = new TestWorker();
    const snapshot = await snapshotWith();
    worker.update(3, { snapshot: diffSnapshot(undefined, snapshot) });
    const facts = { kind: 'applied', sequence: 3, version: snapshot.version, failedPorts: [] };
    const [first] = worker.of('applied');
    expect(first).toMatchObject({ ...facts, openPorts: [] });
    const port = await worker.listening();
    expect(first?.openingPorts).toEqual([port]);
    expect(worker.of('applied').at(-1)).toEqual({ ...facts, openPorts: [port], openingPorts: [] });
  });

  test('a port that is taken is told with its reason', async () => {
    const taken = await startPod();
    const worker = new TestWorker();
    const snapshot = buildSnapshot([listenerOn(taken), namespacesSection('off')]);
    worker.update(1, { snapshot: diffSnapshot(undefined, snapshot) });
    await until('it failed', () => worker.of('applied').at(-1)?.failedPorts.length === 1);
    const applied = worker.of('applied').at(-1);
    expect(applied).toMatchObject({ openPorts: [], openingPorts: [] });
    expect(applied?.failedPorts[0]?.port).toBe(taken);
    expect(applied?.failedPorts[0]?.message).toContain('EADDRINUSE');
  });

  test('a delta that does not fit is refused, and what was in force stays', async () => {
    const worker = new TestWorker();
    const first = await snapshotWith();
    worker.update(1, {
      snapshot: diffSnapshot(undefined, first),
      node: addressesWith('shop/front'),
    });
    expect(await worker.ask()).toBe('200');
    const second = withService(first, 'shop/other');
    const third = withService(first, 'shop/another');
    const before = worker.of('applied').length;
    worker.update(2, { snapshot: diffSnapshot(second, third) });
    expect(worker.of('refused').map(({ sequence }) => sequence)).toEqual([2]);
    expect(worker.of('refused')[0]?.message).toContain('does not fit');
    expect(worker.of('applied')).toHaveLength(before);
    expect(worker.of('applied').at(-1)).toMatchObject({ sequence: 1, version: first.version });
  });

  test('a section that does not decode is refused with all that came with it', async () => {
    const worker = new TestWorker();
    const first = await snapshotWith();
    worker.update(1, { snapshot: diffSnapshot(undefined, first) });
    const delta = diffSnapshot(first, withService(first, 'shop/other'));
    const [changed] = delta.changed;
    if (changed === undefined) throw new Error('nothing has changed');
    const broken = { ...delta, changed: [{ ...changed, text: '{"kind":"service"}' }] };
    worker.update(2, { snapshot: broken });
    expect(worker.of('refused')).toHaveLength(1);
    expect(await worker.ask('other.shop.mesh')).toBe('404 UnknownService');
    worker.update(3, { snapshot: delta });
    expect(worker.of('applied').at(-1)).toMatchObject({ sequence: 3 });
    expect(await worker.ask('other.shop.mesh')).toBe('503 NoEndpoints');
  });

  test('whose an address is changes even with a snapshot that is refused', async () => {
    const worker = new TestWorker();
    const snapshot = await snapshotWith();
    worker.update(1, {
      snapshot: diffSnapshot(undefined, snapshot),
      node: addressesWith('shop/prying'),
    });
    expect(await worker.ask()).toBe('403 SourceNotAllowed');
    const misfit = { ...diffSnapshot(snapshot, snapshot), base: 'another' };
    worker.update(2, { snapshot: misfit, node: addressesWith('shop/front') });
    expect(worker.of('refused')).toHaveLength(1);
    expect(await worker.ask()).toBe('200');
  });

  test('addresses alone are taken over without compiling anything', async () => {
    const worker = new TestWorker();
    const snapshot = await snapshotWith();
    worker.update(1, { snapshot: diffSnapshot(undefined, snapshot), node: addressesWith() });
    expect(await worker.ask()).toBe('403 SourceUnknown');
    worker.update(2, { node: addressesWith('shop/front') });
    expect(worker.of('applied').at(-1)).toMatchObject({ sequence: 2, version: snapshot.version });
    expect(await worker.ask()).toBe('200');
  });
});

/** A worker that serves shop/web to the caller. */
async function serving(settings: Partial<WorkerSettings> = {}): Promise<TestWorker> {
  const worker = new TestWorker(settings);
  const snapshot = diffSnapshot(undefined, await snapshotWith());
  worker.update(1, { snapshot, node: addressesWith('shop/front') });
  return worker;
}

describe('upstream connections', () => {
  test.each([
    [[home], home],
    [['::1', home, '127.54.0.9'], home],
    [['0.0.0.0', '::'], undefined],
    [['0.0.0.0'], undefined],
  ])('of a worker on %j to an IPv4 pod come from %s', async (bindAddresses, expected) => {
    const worker = await serving({ bindAddresses });
    expect(await worker.ask()).toBe('200');
    expect(worker.connects.map(({ localAddress }) => localAddress)).toEqual([expected]);
  });
});

describe('what a worker tells', () => {
  test('lines of the access log and new series come soon after an exchange', async () => {
    const worker = await serving();
    await worker.ask();
    await until('a line was told', () => worker.of('access-log').length === 1);
    const [batch] = worker.of('access-log');
    expect(batch?.dropped).toBe(0);
    expect(JSON.parse(batch?.lines[0] ?? '')).toMatchObject({
      source_namespace: 'shop',
      destination_service: 'web',
      status: 200,
    });
    const names = worker.of('series').flatMap((one) => one.definitions.map(({ name }) => name));
    expect(names).toContain('weft_http_requests_total');
    expect(names).toContain('weft_http_attempts_total');
  });

  test('drained: nothing in flight, the last lines told before', async () => {
    const worker = await serving();
    await worker.ask();
    worker.send({ kind: 'drain', delayMs: 0, timeoutMs: 5_000 });
    await until('it has drained', () => worker.of('drained').length === 1);
    const kinds = worker.told.map(({ kind }) => kind);
    expect(kinds.indexOf('access-log')).toBeGreaterThan(0);
    expect(kinds.indexOf('access-log')).toBeLessThan(kinds.indexOf('drained'));
  });

  test('a table that comes after its drain opens nothing again', async () => {
    const worker = await serving();
    await worker.listening();
    worker.send({ kind: 'drain', delayMs: 0, timeoutMs: 5_000 });
    await until('it has drained', () => worker.of('drained').length === 1);
    const other = await snapshotWith();
    worker.update(2, { snapshot: diffSnapshot(undefined, other) });
    expect(worker.of('applied').at(-1)).toMatchObject({
      sequence: 2,
      openPorts: [],
      openingPorts: [],
    });
  });

  test('the hook that makes it throw works only where it was asked for', () => {
    expect(() => new TestWorker({ testHooks: true }).send({ kind: 'throw' })).toThrow('test hook');
    expect(() => new TestWorker().send({ kind: 'throw' })).not.toThrow();
  });
});
