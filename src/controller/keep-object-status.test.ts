// How often users' objects are written, and by whom: ten thousand of them, on a clock that the test
// moves, against an API server that lives in memory at the seam of `Connection`.
import { describe, expect, test } from 'vitest';
import { parsers, meshSettingsOf } from '../api/index.ts';
import type { ClusterState, Problem, TcpRoute } from '../api/index.ts';
import { KubeFailure } from '../kube/index.ts';
import type { Connection, KubeReason } from '../kube/index.ts';
import { silentLog } from '../telemetry/index.ts';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { stateOf } from '../../test/support/builders.ts';
import { ObjectStatusKeeper } from './keep-object-status.ts';
import { textAt, valueAt } from './raw-object.ts';

type Write = { readonly path: string; readonly atMs: number };

/** TCPRoutes and Events of one API server; watches are open and silent. */
class MemoryCluster {
  readonly time = new FakeRuntime();
  readonly routes = new Map<string, Record<string, unknown>>();
  readonly events = new Map<string, Record<string, unknown>>();
  readonly writes: Write[] = [];
  /** Thrown by the next writes. */
  refusals: KubeReason[] = [];
  #version = 1;

  create(count: number): void {
    for (let index = 0; index < count; index += 1) this.#put(`route-${index}`, {});
  }

  #put(name: string, more: Record<string, unknown>): Record<string, unknown> {
    this.#version += 1;
    const resourceVersion = String(this.#version);
    const object = {
      apiVersion: 'specs.smi-spec.io/v1alpha4',
      kind: 'TCPRoute',
      metadata: { name, namespace: 'shop', uid: name, generation: 1, resourceVersion },
      spec: { matches: { ports: [80] } },
      ...more,
    };
    this.routes.set(name, object);
    return object;
  }

  state(): ClusterState {
    const routes = [...this.routes.values()].map((object) => parsers.TCPRoute(object).value);
    return stateOf(...routes.filter((route): route is TcpRoute => route !== undefined));
  }

  connection(): Connection {
    const answer = <T>(make: () => T): Promise<T> => Promise.resolve().then(make);
    const written = <T>(path: string, make: () => T): Promise<T> =>
      answer(() => {
        const refusal = this.refusals.shift();
        if (refusal !== undefined) throw new KubeFailure(refusal, 'refused by the test');
        this.writes.push({ path, atMs: this.time.nowMs });
        return make();
      });
    const connection: Connection = {
      server: 'https://memory',
      get: (path) => answer(() => this.#get(path)),
      create: (path, object) => written(path, () => this.#createEvent(object)),
      update: () => Promise.reject(new KubeFailure('NotFound', 'no such path')),
      patch: (path, { body }) => written(path, () => this.#patchEvent(path, body)),
      apply: (path, object) =>
        written(path, () => {
          const name = path.split('/').at(-2) ?? '';
          if (!this.routes.has(name)) throw new KubeFailure('NotFound', 'gone');
          return this.#put(name, { status: valueAt(object, 'status') });
        }),
      remove: () => Promise.reject(new KubeFailure('NotFound', 'no such path')),
      openStream: (_path, query) =>
        query['sendInitialEvents'] === true
          ? Promise.reject(new KubeFailure('Invalid', 'lists are not streamed here'))
          : Promise.resolve(silent()),
      within: () => connection,
      onlyWhile: () => connection,
      onReachable: () => () => undefined,
      close: () => Promise.resolve(),
    };
    return connection;
  }

  #get(path: string): unknown {
    const metadata = { resourceVersion: String(this.#version) };
    if (path.endsWith('/tcproutes')) return { metadata, items: [...this.routes.values()] };
    if (path.endsWith('/events')) return { metadata, items: [...this.events.values()] };
    if (path.endsWith('/pods')) return { metadata, items: [] };
    // Discovery: a group serves what is asked for.
    if (/\/v1alpha\d$/.test(path)) {
      const names = ['tcproutes', 'httproutegroups', 'udproutes', 'trafficsplits'];
      return { resources: [...names, 'traffictargets'].map((name) => ({ name })) };
    }
    if (path.split('/').length <= 3) return { versions: [{ version: 'v1alpha4' }] };
    return { metadata, items: [] };
  }

  #createEvent(object: unknown): unknown {
    const name = textAt(object, 'metadata', 'name') ?? '';
    if (this.events.has(name)) throw new KubeFailure('AlreadyExists', name);
    this.events.set(name, object as Record<string, unknown>);
    return object;
  }

  #patchEvent(path: string, body: unknown): unknown {
    const name = path.split('/').at(-1) ?? '';
    const event = this.events.get(name);
    if (event === undefined) throw new KubeFailure('NotFound', name);
    const { metadata: _, ...fields } = body as Record<string, unknown>;
    Object.assign(event, fields);
    return event;
  }
}

async function* silent(): AsyncGenerator<Uint8Array> {
  await new Promise(() => undefined);
  yield new Uint8Array();
}

type Started = {
  readonly keeper: ObjectStatusKeeper;
  readonly lead: (isLeading: boolean) => void;
};

async function start(cluster: MemoryCluster, problems: readonly Problem[] = []): Promise<Started> {
  let isLeading = true;
  const keeper = new ObjectStatusKeeper({
    connection: cluster.connection(),
    runtime: cluster.time.runtime,
    log: silentLog,
    settings: meshSettingsOf(new Map()),
    isLeading: () => isLeading,
    instance: 'test',
  });
  await cluster.time.advance(100);
  expect(keeper.isSynced()).toBe(true);
  keeper.want({ state: cluster.state(), policyVersion: 'v1' });
  keeper.tell(problems);
  return {
    keeper,
    lead: (isLeader) => {
      isLeading = isLeader;
      if (isLeader) keeper.lead();
      else keeper.follow();
    },
  };
}

const minuteMs = 60_000;

/** The most writes that began within ten seconds. */
function busiest(writes: readonly Write[]): number {
  let [first, most] = [0, 0];
  writes.forEach(({ atMs }, last) => {
    while ((writes[first]?.atMs ?? 0) <= atMs - 10_000) first += 1;
    most = Math.max(most, last - first + 1);
  });
  return most;
}

const problemOf = (name: string, message = 'mend it'): Problem => ({
  reason: 'UnresolvedRoute',
  kind: 'TCPRoute',
  namespace: 'shop',
  name,
  message,
});

describe('ten thousand objects', () => {
  test('without conditions: each is written once, at 20 a second, and then nothing', async () => {
    const cluster = new MemoryCluster();
    cluster.create(10_000);
    const { keeper } = await start(cluster);
    await cluster.time.advance(15 * minuteMs);
    expect(new Set(cluster.writes.map(({ path }) => path)).size).toBe(10_000);
    expect(cluster.writes).toHaveLength(10_000);
    expect(busiest(cluster.writes)).toBeLessThanOrEqual(220);
    const [route] = cluster.routes.values();
    const said = valueAt(route, 'status', 'conditions') as readonly { readonly type: string }[];
    expect(said.map(({ type }) => type)).toEqual(['Accepted', 'ResolvedRefs', 'Programmed']);
    void keeper.stop();
  }, 60_000);

  test('with conditions that are right already: nothing is written', async () => {
    const cluster = new MemoryCluster();
    cluster.create(300);
    const { keeper } = await start(cluster);
    await cluster.time.advance(minuteMs);
    void keeper.stop();
    expect(cluster.writes).toHaveLength(300);
    // The other objects carry the same ones.
    const [model] = cluster.routes.values();
    const status = valueAt(model, 'status');
    const many = new MemoryCluster();
    many.create(10_000);
    for (const route of many.routes.values()) route['status'] = status;
    const next = await start(many);
    await many.time.advance(10 * minuteMs);
    expect(many.writes).toEqual([]);
    void next.keeper.stop();
  }, 60_000);

  test('what a person changes does not wait behind them', async () => {
    const cluster = new MemoryCluster();
    cluster.create(10_000);
    const { keeper } = await start(cluster);
    await cluster.time.advance(5_000);
    keeper.tell([problemOf('route-9999')]);
    await cluster.time.advance(2_000);
    const paths = cluster.writes.map(({ path }) => path.split('/').at(-2));
    expect(paths).toContain('route-9999');
    expect(paths).not.toContain('route-9998');
    void keeper.stop();
  }, 60_000);
});

describe('a leader', () => {
  test('that loses its lease stops amid its writes, and goes on when it has it', async () => {
    const cluster = new MemoryCluster();
    cluster.create(200);
    const { keeper, lead } = await start(cluster);
    await cluster.time.advance(3_000);
    lead(false);
    const before = cluster.writes.length;
    expect(before).toBeGreaterThan(20);
    expect(before).toBeLessThan(120);
    await cluster.time.advance(minuteMs);
    expect(cluster.writes).toHaveLength(before);
    lead(true);
    await cluster.time.advance(minuteMs);
    expect(cluster.writes).toHaveLength(200);
    void keeper.stop();
  });

  test('whose writes are refused comes back, ever more slowly', async () => {
    const cluster = new MemoryCluster();
    cluster.create(1);
    cluster.refusals = ['Conflict', 'ServerError', 'TooManyRequests', 'ServerError'];
    const { keeper } = await start(cluster);
    await cluster.time.advance(minuteMs);
    expect(cluster.refusals).toEqual([]);
    expect(cluster.writes).toHaveLength(1);
    void keeper.stop();
  });

  test('writes nothing more about an object that is gone', async () => {
    const cluster = new MemoryCluster();
    cluster.create(2);
    const { keeper } = await start(cluster);
    cluster.routes.delete('route-0');
    await cluster.time.advance(minuteMs);
    const taken = [...cluster.routes.values()].filter((route) => 'status' in route);
    expect(taken).toHaveLength(1);
    void keeper.stop();
  });
});

describe('Events', () => {
  const eventWrites = (cluster: MemoryCluster) =>
    cluster.writes.filter(({ path }) => path.includes('/events'));

  test('are two a second after a first burst, and each is told once', async () => {
    const cluster = new MemoryCluster();
    cluster.create(500);
    const problems = Array.from({ length: 500 }, (_, index) => problemOf(`route-${index}`));
    const { keeper } = await start(cluster, problems);
    await cluster.time.advance(minuteMs);
    expect(eventWrites(cluster).length).toBeGreaterThan(120);
    expect(eventWrites(cluster).length).toBeLessThanOrEqual(150);
    await cluster.time.advance(10 * minuteMs);
    expect(eventWrites(cluster)).toHaveLength(500);
    keeper.tell(problems);
    await cluster.time.advance(10 * minuteMs);
    expect(eventWrites(cluster)).toHaveLength(500);
    void keeper.stop();
  });

  test('of a problem that lasts a moment are not told', async () => {
    const cluster = new MemoryCluster();
    cluster.create(1);
    const { keeper } = await start(cluster, [problemOf('route-0')]);
    await cluster.time.advance(1_000);
    keeper.tell([]);
    await cluster.time.advance(minuteMs);
    expect(eventWrites(cluster)).toEqual([]);
    void keeper.stop();
  });

  test('of a problem that comes and goes are told once a minute at most', async () => {
    const cluster = new MemoryCluster();
    cluster.create(1);
    const { keeper } = await start(cluster);
    for (let turn = 0; turn < 60; turn += 1) {
      keeper.tell([problemOf('route-0')]);
      await cluster.time.advance(5_000);
      keeper.tell([]);
      await cluster.time.advance(5_000);
    }
    expect(eventWrites(cluster).length).toBeGreaterThan(1);
    expect(eventWrites(cluster).length).toBeLessThanOrEqual(11);
    const [event] = cluster.events.values();
    expect(cluster.events.size).toBe(1);
    expect(event?.['count']).toBe(eventWrites(cluster).length);
    void keeper.stop();
  });

  test('of a problem that conditions tell already are not told by a new controller', async () => {
    const cluster = new MemoryCluster();
    cluster.create(1);
    const problems = [problemOf('route-0')];
    const first = await start(cluster, problems);
    await cluster.time.advance(minuteMs);
    void first.keeper.stop();
    expect(eventWrites(cluster)).toHaveLength(1);
    // Events last an hour.
    cluster.events.clear();
    const second = await start(cluster, problems);
    await cluster.time.advance(10 * minuteMs);
    expect(eventWrites(cluster)).toHaveLength(1);
    void second.keeper.stop();
  });
});
