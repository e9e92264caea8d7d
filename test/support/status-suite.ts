// What users read on their own objects, as one suite for any API server: the conditions of SMI
// objects, Events on whatever has a problem, told once and by the leader alone. The embedded API
// server (test/integration) and the real one (test/kube) have to give the same answers.
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { resourcePath } from '../../src/kube/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import type { Runtime } from '../../src/lib/clock.ts';
import { Replica, until, type TestCluster } from './controller-suite.ts';
import { mistakes, mistakeServices, type Mistake, type MistakeObject } from './user-mistakes.ts';

type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
};
type SmiObject = {
  readonly metadata: {
    readonly uid: string;
    readonly generation: number;
    readonly resourceVersion: string;
  };
  readonly status?: { readonly conditions?: readonly Condition[] };
};
type TestEvent = {
  readonly metadata: { readonly name: string };
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string };
  readonly reason: string;
  readonly message: string;
  readonly count: number;
};

const plurals: Readonly<Record<string, string>> = {
  TrafficTarget: 'traffictargets',
  HTTPRouteGroup: 'httproutegroups',
  TCPRoute: 'tcproutes',
  TrafficSplit: 'trafficsplits',
};

/** Where an SMI object is, in the version that it is written in. */
export function smiPath(object: Pick<MistakeObject, 'apiVersion' | 'kind'>, namespace: string) {
  const [group = '', version = ''] = object.apiVersion.split('/');
  return resourcePath({ group, version, plural: plurals[object.kind] ?? '', namespace });
}

/** Definitions of smi/crds, served. */
export async function installDefinitions(admin: Connection): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const names = readdirSync('smi/crds');
  for (const name of names) {
    const text = readFileSync(`smi/crds/${name}`, 'utf8');
    const definition: unknown = parse(text, { merge: true, maxAliasCount: -1 });
    await admin.create(path, definition);
  }
  await until('the definitions are served', async () => {
    const list = (await admin.get(path)) as {
      items: { status?: { conditions?: { type: string; status: string }[] } }[];
    };
    const served = list.items.filter(({ status }) =>
      status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True'),
    );
    return served.length >= names.length ? true : undefined;
  });
}

/** The admin port of a proxy on a node: a pod in the mesh namespace, and what it answers. */
export class FakeProxy {
  versions: readonly string[] = [];
  asked = 0;
  readonly #address: string;
  readonly #server: Server;

  constructor(address: string) {
    this.#address = address;
    this.#server = createServer((_request, response) => {
      this.asked += 1;
      const [policyVersion = ''] = this.versions;
      response.end(JSON.stringify({ build: 'test', policyVersion, recent: this.versions }));
    });
  }

  async start(admin: Connection, node: string): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(15_020, this.#address, resolve));
    const path = '/api/v1/namespaces/weft-system/pods';
    const name = `weft-proxy-${node}`;
    await admin.create(path, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace: 'weft-system',
        labels: { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'proxy' },
      },
      spec: {
        nodeName: node,
        serviceAccountName: 'weft-proxy',
        containers: [{ name: 'proxy', image: 'none' }],
      },
    });
    const status = {
      phase: 'Running',
      podIP: this.#address,
      podIPs: [{ ip: this.#address }],
      conditions: [{ type: 'Ready', status: 'True' }],
    };
    await admin.patch(`${path}/${name}/status`, { kind: 'merge', body: { status } });
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

export function statusSuite(start: () => Promise<TestCluster>, runtime: Runtime): void {
  let cluster: TestCluster;
  let admin: Connection;
  let replica: Replica;
  const proxies: FakeProxy[] = [];

  const create = (object: MistakeObject, namespace = 'mistakes') =>
    admin.create(smiPath(object, namespace), {
      apiVersion: object.apiVersion,
      kind: object.kind,
      metadata: { name: object.name, namespace },
      ...object.body,
    }) as Promise<SmiObject>;

  const read = async (object: MistakeObject, namespace = 'mistakes') =>
    (await admin.get(`${smiPath(object, namespace)}/${object.name}`)) as SmiObject;

  /** The condition, once it speaks of the object as it is now. */
  const condition = (object: MistakeObject, type: string, namespace = 'mistakes') =>
    until(`${type} of ${object.kind} ${object.name}`, async () => {
      const { metadata, status } = await read(object, namespace);
      const found = status?.conditions?.find((one) => one.type === type);
      return found?.observedGeneration === metadata.generation ? found : undefined;
    });

  const events = async (namespace: string, kind: string, name: string) => {
    const list = (await admin.get(`/api/v1/namespaces/${namespace}/events`, {
      fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}`,
    })) as { readonly items: readonly TestEvent[] };
    return list.items;
  };

  const event = (namespace: string, kind: string, name: string, text: string) =>
    until(`an Event on ${kind} ${name}: ${text}`, async () =>
      (await events(namespace, kind, name)).find(({ message }) => message.includes(text)),
    );

  beforeAll(async () => {
    cluster = await start();
    admin = await cluster.connect();
    await installDefinitions(admin);
    for (const name of ['weft-system', 'shop', 'mistakes']) {
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      await admin.create('/api/v1/namespaces', namespace);
    }
    for (const [name, ports] of mistakeServices) {
      for (const namespace of ['mistakes', 'shop']) {
        await admin.create(`/api/v1/namespaces/${namespace}/services`, {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name, namespace },
          spec: { ports: ports.map((port) => ({ name: `http-${port}`, port })) },
        });
      }
    }
    replica = await Replica.start(cluster, runtime);
  });

  afterAll(async () => {
    await replica.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await admin.close();
    await cluster.stop();
  });

  const good: MistakeObject = {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    name: 'good',
    body: { spec: { service: 'web', backends: [{ service: 'web-v1', weight: 1 }] } },
  };

  describe('a user who made a mistake', () => {
    // Ages have whole seconds; of two equals the first by name wins, and `first` it is.
    beforeAll(async () => {
      for (const object of new Set(mistakes.flatMap(({ before }) => before ?? []))) {
        await create(object);
      }
      for (const { object, told } of mistakes) if (!('refused' in told)) await create(object);
    });

    test.each(mistakes)('reads what to do about $title', async ({ told, object }: Mistake) => {
      if ('refused' in told) {
        await expect(create(object)).rejects.toThrow(told.refused);
        return;
      }
      const found = await until(`the condition of ${object.name}`, async () => {
        const seen = await condition(object, told.condition);
        return told.fix.test(seen.message) ? seen : undefined;
      });
      expect(found).toMatchObject({ status: told.status, reason: told.reason });
      expect(found.message).toMatch(told.fix);
      const seen = await event('mistakes', object.kind, object.name, '');
      expect(seen.reason).toBe(told.reason);
    });
  });

  describe('an object that is right', () => {
    test('is accepted and waits for proxies', async () => {
      await create(good, 'shop');
      expect(await condition(good, 'Accepted', 'shop')).toMatchObject({ status: 'True' });
      expect(await condition(good, 'ResolvedRefs', 'shop')).toMatchObject({ status: 'True' });
      const programmed = await condition(good, 'Programmed', 'shop');
      expect(programmed).toMatchObject({ status: 'False', reason: 'Pending' });
      expect(programmed.message).toMatch(/no proxy is ready/);
    });

    test('is programmed once every ready proxy lists a version of it', async () => {
      const version = async (): Promise<string> => {
        const { body } = await replica.page('/version');
        return (JSON.parse(body) as { policyVersion: string }).policyVersion;
      };
      for (const node of [1, 2]) {
        const proxy = new FakeProxy(`127.77.0.${node}`);
        proxies.push(proxy);
        await proxy.start(admin, `node-${node}`);
      }
      const [first, second] = proxies;
      if (first !== undefined) first.versions = [await version()];
      await until('on 1 of 2 nodes', async () => {
        const programmed = await condition(good, 'Programmed', 'shop');
        return programmed.message.includes('on 1 of 2 nodes') ? true : undefined;
      });
      if (second !== undefined) second.versions = ['other', await version()];
      await until('on all nodes', async () => {
        const programmed = await condition(good, 'Programmed', 'shop');
        return programmed.status === 'True' ? true : undefined;
      });
    });

    test('stays programmed when a proxy forgets, and nobody is asked without need', async () => {
      await until('everything is programmed', async () => {
        const list = (await admin.get('/apis/split.smi-spec.io/v1alpha4/trafficsplits')) as {
          items: SmiObject[];
        };
        const isDone = list.items.every(({ status }) =>
          status?.conditions?.some((one) => one.type === 'Programmed' && one.status === 'True'),
        );
        return isDone ? true : undefined;
      });
      const before = await read(good, 'shop');
      for (const proxy of proxies) proxy.versions = [];
      const asked = proxies.map((proxy) => proxy.asked);
      // A problem that comes and goes moves other conditions.
      await admin.remove('/api/v1/namespaces/shop/services/web-v1');
      await until('the backend is missing', async () => {
        const refs = await condition(good, 'ResolvedRefs', 'shop');
        return refs.status === 'False' ? true : undefined;
      });
      const programmed = await condition(good, 'Programmed', 'shop');
      const old = before.status?.conditions?.find(({ type }) => type === 'Programmed');
      expect(programmed).toEqual(old);
      expect(proxies.map((proxy) => proxy.asked)).toEqual(asked);
    });
  });

  test('lastTransitionTime moves with the status alone', async () => {
    const accepted = await condition(good, 'Accepted', 'shop');
    const backends = [{ service: 'web-v2', weight: 2 }];
    const path = `${smiPath(good, 'shop')}/good`;
    await admin.patch(path, { kind: 'merge', body: { spec: { backends } } });
    const later = await condition(good, 'Accepted', 'shop');
    expect(later.observedGeneration).toBe(accepted.observedGeneration + 1);
    expect(later.lastTransitionTime).toBe(accepted.lastTransitionTime);
  });

  test('what others write into status is put right, and their own conditions stay', async () => {
    const path = `${smiPath(good, 'shop')}/good/status`;
    const foreign = {
      type: 'Ready',
      status: 'True',
      reason: 'Mine',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const conditions = [{ ...foreign, type: 'Accepted', status: 'False' }, foreign];
    await admin.patch(path, { kind: 'merge', body: { status: { conditions } } });
    await until('our conditions are back', async () => {
      const all = (await read(good, 'shop')).status?.conditions ?? [];
      const said = all.map(({ type, status }) => `${type}=${status}`);
      const isRight = said.includes('Accepted=True') && said.length === 4;
      return isRight && said.includes('Ready=True') ? true : undefined;
    });
  });

  describe('Events', () => {
    test('a bad annotation is told on its Service, once', async () => {
      const annotate = (value: string) =>
        admin.patch('/api/v1/namespaces/shop/services/web', {
          kind: 'merge',
          body: { metadata: { annotations: { 'weft.dev/retry-attempts': value } } },
        });
      await annotate('many');
      const first = await event('shop', 'Service', 'web', 'many');
      expect(first).toMatchObject({ reason: 'InvalidSetting', count: 1 });
      const { metadata } = (await admin.get('/api/v1/namespaces/shop/services/web')) as SmiObject;
      expect(first.involvedObject.uid).toBe(metadata.uid);
    });

    test('a bad annotation of a Namespace is told in it', async () => {
      const annotations = { 'weft.dev/policy': 'sometimes' };
      const body = { metadata: { annotations } };
      await admin.patch('/api/v1/namespaces/shop', { kind: 'merge', body });
      const told = await event('shop', 'Namespace', 'shop', 'sometimes');
      expect(told.reason).toBe('InvalidSetting');
    });

    test('another controller does not tell an unchanged problem again', async () => {
      const all = async () => {
        const list = (await admin.get('/api/v1/events')) as { items: TestEvent[] };
        // Not those of web-v2: it gets one below, and an API server tells of its addresses, too.
        return list.items
          .filter(({ metadata }) => !metadata.name.startsWith('web-v2.'))
          .map(({ metadata, count }) => `${metadata.name} ${count}`)
          .sort();
      };
      const before = await all();
      expect(before.length).toBeGreaterThan(15);
      await replica.stop();
      replica = await Replica.start(cluster, runtime);
      await until('it leads', () => (replica.controller.isLeading() ? true : undefined));
      // The next Event that is due shows that the others were looked at and needed none.
      await admin.patch('/api/v1/namespaces/shop/services/web-v2', {
        kind: 'merge',
        body: { metadata: { annotations: { 'weft.dev/timeout': 'soon' } } },
      });
      await event('shop', 'Service', 'web-v2', 'soon');
      expect(await all()).toEqual(before);
    });
  });

  test('R-46 a client of an old version that drops matches is told of', async () => {
    const name = 'canary';
    const matches = [{ kind: 'HTTPRouteGroup', name: 'reading' }];
    const spec = { service: 'web-v2', backends: [{ service: 'web-v2', weight: 1 }], matches };
    const object: MistakeObject = { ...good, name, body: { spec } };
    await create(object, 'shop');
    await condition(object, 'Accepted', 'shop');
    const old = { ...object, apiVersion: 'split.smi-spec.io/v1alpha2' };
    const path = `${smiPath(old, 'shop')}/${name}`;
    const { metadata } = await read(old, 'shop');
    const { matches: _, ...rest } = spec;
    await admin.update(
      path,
      {
        apiVersion: old.apiVersion,
        kind: 'TrafficSplit',
        metadata: { name, namespace: 'shop', resourceVersion: metadata.resourceVersion },
        // What Flagger moves; who changes nothing else leaves no trace in managedFields.
        spec: { ...rest, backends: [{ service: 'web-v2', weight: 5 }] },
      },
      { fieldManager: 'flagger' },
    );
    const told = await event('shop', 'TrafficSplit', name, 'apply the matches again');
    expect(told.reason).toBe('MatchesDropped');
    expect(await condition(object, 'Accepted', 'shop')).toMatchObject({
      status: 'True',
      reason: 'MatchesDropped',
    });
    expect((await replica.page('/metrics')).body).toMatch(
      /weft_problems\{.*reason="MatchesDropped".*\} 1/,
    );
    const body = { spec: { matches } };
    await admin.patch(`${smiPath(object, 'shop')}/${name}`, { kind: 'merge', body });
    await until('it is over', async () => {
      const { reason } = await condition(object, 'Accepted', 'shop');
      return reason === 'Accepted' ? true : undefined;
    });
  });

  test('an object that is deleted meanwhile is no error', async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      const object = { ...good, name: `brief-${turn}` };
      await create(object, 'shop');
      await admin.remove(`${smiPath(object, 'shop')}/${object.name}`);
    }
    const last = { ...good, name: 'last' };
    await create(last, 'shop');
    expect(await condition(last, 'Accepted', 'shop')).toMatchObject({ reason: 'Conflict' });
  });
}
