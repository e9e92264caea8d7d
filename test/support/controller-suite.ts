// What the controller promises about the mesh Service, as one suite for any API server: the
// embedded one (test/integration) and the real one (test/kube) have to give the same answers.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { meshSettingsOf } from '../../src/api/index.ts';
import { startController } from '../../src/controller/index.ts';
import type { Controller } from '../../src/controller/index.ts';
import { resourcePath } from '../../src/kube/index.ts';
import type { Connection, Query } from '../../src/kube/index.ts';
import type { Runtime } from '../../src/lib/clock.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import { silentLog } from '../../src/telemetry/index.ts';

export type TestCluster = {
  readonly connect: () => Promise<Connection>;
  readonly stop: () => Promise<void>;
};

type Port = { readonly name: string; readonly port: number; readonly targetPort: number };
type MeshService = {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string };
  readonly spec: {
    readonly ports: readonly Port[];
    readonly selector: Readonly<Record<string, string>>;
    readonly internalTrafficPolicy: string;
    readonly type: string;
  };
};

const meshNamespace = 'weft-system';
const collectionOf = (namespace: string) =>
  resourcePath({ group: '', version: 'v1', plural: 'services', namespace });
const meshServicePath = `${collectionOf(meshNamespace)}/weft-http`;

type ReplicaFacts = {
  readonly connection: Connection;
  readonly cut: AbortController;
  readonly writers: readonly boolean[];
};

/** A replica whose connection can be cut, as a kill would: nothing is released or said. */
export class Replica {
  readonly controller: Controller;
  readonly #facts: ReplicaFacts;

  private constructor(controller: Controller, facts: ReplicaFacts) {
    this.controller = controller;
    this.#facts = facts;
  }

  static async start(cluster: TestCluster, runtime: Runtime): Promise<Replica> {
    const cut = new AbortController();
    const writers: boolean[] = [];
    let controller: Controller | undefined = undefined;
    const isLeading = () => controller?.isLeading() ?? false;
    const note = () => void writers.push(isLeading());
    const connection = severable(await cluster.connect(), cut.signal, note);
    controller = await startController({
      connection,
      runtime,
      keys: nodeKeys,
      settings: {
        mesh: meshSettingsOf(new Map()),
        podName: undefined,
        bindAddresses: ['127.0.0.1'],
        adminPort: 0,
        dnsPort: 15_053,
        debugFrom: 'loopback',
      },
      log: silentLog,
      version: 'test',
      nodeVersion: process.versions.node,
    });
    return new Replica(controller, { connection, cut, writers });
  }

  /** For each write of the mesh Service: whether this replica led when it wrote. */
  get writers(): readonly boolean[] {
    return this.#facts.writers;
  }

  kill(): void {
    this.#facts.cut.abort();
  }

  async stop(): Promise<void> {
    await this.controller.stop();
    await this.#facts.connection.close();
  }

  async page(path: string): Promise<{ readonly status: number; readonly body: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.controller.adminPort}${path}`);
    return { status: answer.status, body: await answer.text() };
  }
}

function severable(connection: Connection, cut: AbortSignal, onWrite: () => void): Connection {
  const alive = async <T>(work: () => Promise<T>): Promise<T> => {
    if (cut.aborted) throw new Error('severed');
    const answer = await work();
    if (cut.aborted) throw new Error('severed');
    return answer;
  };
  return {
    server: connection.server,
    get: (path, query) => alive(() => connection.get(path, query)),
    create: (path, object, query) => alive(() => connection.create(path, object, query)),
    update: (path, object, query) => alive(() => connection.update(path, object, query)),
    patch: (path, patch, query) => {
      onWrite();
      return alive(() => connection.patch(path, patch, query));
    },
    apply: (path, object, options) => {
      onWrite();
      return alive(() => connection.apply(path, object, options));
    },
    remove: (path, options) => alive(() => connection.remove(path, options)),
    openStream: (path: string, query: Query, signal: AbortSignal) =>
      alive(() => connection.openStream(path, query, AbortSignal.any([signal, cut]))),
    onReachable: (listener) => connection.onReachable(listener),
    onlyWhile: (mayWrite) => severable(connection.onlyWhile(mayWrite), cut, onWrite),
    within: (timeoutMs) => severable(connection.within(timeoutMs), cut, onWrite),
    close: () => connection.close(),
  };
}

/** Waits for a state of the world; how long a look takes matters to nobody. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Registers the tests; `withKill`: also the one that waits for a lease to run out. */
export function controllerSuite(
  start: () => Promise<TestCluster>,
  runtime: Runtime,
  options: { readonly withKill: boolean },
): void {
  let cluster: TestCluster;
  let admin: Connection;
  let replicas: Replica[];

  beforeAll(async () => {
    cluster = await start();
    admin = await cluster.connect();
    for (const name of [meshNamespace, 'shop']) {
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      await admin.create('/api/v1/namespaces', namespace);
    }
    await createService('web', [980, 8080]);
    const both = [Replica.start(cluster, runtime), Replica.start(cluster, runtime)];
    replicas = await Promise.all(both);
  });

  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await admin.close();
    await cluster.stop();
  });

  async function createService(name: string, ports: readonly number[], labels = {}): Promise<void> {
    await admin.create(collectionOf('shop'), {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'shop', labels },
      spec: { ports: ports.map((port) => ({ name: `http-${port}`, port })) },
    });
  }

  async function meshService(): Promise<MeshService | undefined> {
    try {
      return (await admin.get(meshServicePath)) as MeshService;
    } catch {
      return undefined;
    }
  }

  const numbersOf = (service: MeshService) => service.spec.ports.map(({ port }) => port).sort();
  const targetsOf = (service: MeshService) =>
    Object.fromEntries(service.spec.ports.map(({ port, targetPort }) => [port, targetPort]));

  /** The Service once it has exactly these ports and our settings. */
  const settled = (ports: readonly number[]) =>
    until(`weft-http with ports ${ports.join(', ')}`, async () => {
      const service = await meshService();
      if (service === undefined) return undefined;
      const wished = JSON.stringify([...ports].sort());
      if (JSON.stringify(numbersOf(service)) !== wished) return undefined;
      const { selector, internalTrafficPolicy, type } = service.spec;
      const isOurs =
        internalTrafficPolicy === 'Local' &&
        type === 'ClusterIP' &&
        Object.keys(selector).length === 2 &&
        selector['app.kubernetes.io/component'] === 'proxy' &&
        service.spec.ports.every(({ targetPort }) => targetPort >= 15_100 && targetPort < 16_000);
      return isOurs ? service : undefined;
    });

  const leaders = () => replicas.filter(({ controller }) => controller.isLeading());

  test('of two replicas one leads; the Service has the union of ports', async () => {
    const service = await settled([980, 8080]);
    expect(service.spec.ports.map(({ name }) => name).sort()).toEqual(['http-8080', 'http-980']);
    expect(leaders()).toHaveLength(1);
  });

  test('both replicas are ready and tell what they know', async () => {
    for (const replica of replicas) {
      await until('ready', async () => {
        const { status } = await replica.page('/readyz');
        return status === 200 ? true : undefined;
      });
      const version = JSON.parse((await replica.page('/version')).body) as { build: string };
      expect(version.build).toBe('test');
    }
    const pages = await Promise.all(replicas.map((replica) => replica.page('/metrics')));
    const led = pages.map(({ body }) => /^weft_leader (\d)$/m.exec(body)?.[1]).sort();
    expect(led).toEqual(['0', '1']);
  });

  test('a new port number is added and the others keep their targets', async () => {
    const before = targetsOf(await settled([980, 8080]));
    // 80 and 980 would like the same target: whoever came first has it, and keeps it.
    await createService('api', [80, 9090]);
    const after = targetsOf(await settled([80, 980, 8080, 9090]));
    expect(after).toMatchObject(before);
  });

  test('what changes no port is written by nobody', async () => {
    const before = await settled([80, 980, 8080, 9090]);
    await createService('more', [80, 980]);
    await createService('opted-out', [7070], { 'weft.dev/mesh': 'disabled' });
    // The next change that does matter shows that the earlier ones were seen and needed no write.
    await createService('last', [6060]);
    await settled([80, 980, 8080, 9090, 6060]);
    const managers = await until('managed fields', async () => {
      const object = (await admin.get(meshServicePath)) as {
        metadata: { managedFields?: readonly { manager: string; operation: string }[] };
      };
      return object.metadata.managedFields;
    });
    expect(managers.map(({ manager, operation }) => `${manager} ${operation}`)).toEqual([
      'weft-controller Apply',
    ]);
    expect((await meshService())?.metadata.uid).toBe(before.metadata.uid);
  });

  test('a deleted Service comes back with the same ports', async () => {
    const before = await settled([80, 980, 8080, 9090, 6060]);
    await admin.remove(meshServicePath);
    const after = await until('another object', async () => {
      const service = await meshService();
      return service?.metadata.uid === before.metadata.uid ? undefined : service;
    });
    expect(targetsOf(after)).toEqual(targetsOf(before));
  });

  test.each([
    ['a changed selector', { selector: { app: 'evil' } }],
    ['another traffic policy', { internalTrafficPolicy: 'Cluster' }],
    ['removed ports', { ports: [{ name: 'http-80', port: 80, targetPort: 15_180 }] }],
    ['a moved target', { ports: [{ name: 'http-80', port: 80, targetPort: 22 }] }],
    [
      'foreign ports',
      {
        ports: [
          { name: 'http-80', port: 80, targetPort: 15_180 },
          { name: 'evil', port: 22, targetPort: 22 },
          { name: 'worse', port: 23, targetPort: 15_300 },
        ],
      },
    ],
    ['a foreign port under our name', { ports: [{ name: 'http-80', port: 22, targetPort: 22 }] }],
  ])('%s is put right', async (_what, spec) => {
    const before = await settled([80, 980, 8080, 9090, 6060]);
    await admin.patch(meshServicePath, { kind: 'merge', body: { spec } });
    await until('a write', async () => {
      const service = await meshService();
      const { resourceVersion } = before.metadata;
      return service?.metadata.resourceVersion === resourceVersion ? undefined : service;
    });
    await settled([80, 980, 8080, 9090, 6060]);
  });

  test('a follower has never written', () => {
    const writes = replicas.flatMap(({ writers }) => writers);
    expect(writes.length).toBeGreaterThan(5);
    expect(writes).not.toContain(false);
  });

  test('a problem of an object is told on both replicas', async () => {
    await admin.patch(`${collectionOf('shop')}/web`, {
      kind: 'merge',
      body: { metadata: { annotations: { 'weft.dev/retry-attempts': 'many' } } },
    });
    for (const replica of replicas) {
      await until('the problem', async () => {
        const { body } = await replica.page('/debug/problems');
        return body.includes('many') ? true : undefined;
      });
    }
  });

  if (options.withKill) {
    test('when the leader is killed the other one leads within 20 s and writes', async () => {
      const [leader] = leaders();
      leader?.kill();
      const other = replicas.find((replica) => replica !== leader);
      const leads = () => (other?.controller.isLeading() === true ? true : undefined);
      await until('another leader', leads, 20_000);
      expect(leader?.controller.isLeading()).toBe(false);
      await createService('after-kill', [5050]);
      await settled([80, 980, 8080, 9090, 6060, 5050]);
      replicas = replicas.filter((replica) => replica !== leader);
      await leader?.stop();
    }, 60_000);
  }

  test('a leader that stops hands over at once', async () => {
    const next = await Replica.start(cluster, runtime);
    const [leader] = leaders();
    replicas.push(next);
    replicas = replicas.filter((replica) => replica !== leader);
    await leader?.stop();
    await until('a new leader', () => (leaders().length === 1 ? true : undefined), 8_000);
  });
}
