// What the controller promises about the mesh Services for TCP, UDP, DNS and peers, as one suite
// for any API server: the embedded one (test/integration) and the real one (test/kube).
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { kubeReason, resourcePath } from '../../src/kube/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import type { Runtime } from '../../src/lib/clock.ts';
import { Replica, type TestCluster } from './controller-suite.ts';

type Port = {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly targetPort: number;
};

const annotated = (text: string | null): object => ({
  metadata: { annotations: { 'weft.dev/ports': text } },
});
const external = { type: 'ExternalName', externalName: 'example.com' };

type MeshService = {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly { readonly manager: string; readonly operation: string }[];
  };
  readonly spec: {
    readonly clusterIP: string;
    readonly clusterIPs: readonly string[];
    readonly ports?: readonly Port[];
    readonly selector: Readonly<Record<string, string>>;
    readonly internalTrafficPolicy: string;
    readonly publishNotReadyAddresses?: boolean;
    readonly trafficDistribution?: string;
  };
};

const meshNamespace = 'weft-system';
const tenMinutesMs = 600_000;
const core = (plural: string, namespace: string): string =>
  resourcePath({ group: '', version: 'v1', plural, namespace });
const meshPath = (name: string): string => `${core('services', meshNamespace)}/${name}`;
const addressesPath = `${core('configmaps', meshNamespace)}/weft-addresses`;

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Registers the tests; each has an empty namespace `shop` and a leader that runs. */
export function meshServicesSuite(start: () => Promise<TestCluster>, real: Runtime): void {
  let cluster: TestCluster;
  let admin: Connection;
  let replica: Replica;
  /** How far the wall clock of the controllers is ahead. */
  let aheadMs = 0;
  const runtime: Runtime = {
    ...real,
    clock: { nowMs: real.clock.nowMs, wallMs: () => real.clock.wallMs() + aheadMs },
  };

  beforeAll(async () => {
    cluster = await start();
    admin = await cluster.connect();
    for (const name of [meshNamespace, 'shop']) {
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      await admin.create('/api/v1/namespaces', namespace);
    }
  });

  afterAll(async () => {
    await admin.close();
    await cluster.stop();
  });

  beforeEach(async () => {
    replica = await Replica.start(cluster, runtime);
  });

  afterEach(async () => {
    await replica.stop();
    for (const namespace of ['shop', meshNamespace]) {
      const list = await all(namespace);
      await Promise.all(list.map(({ metadata }) => remove(namespace, metadata.name)));
    }
    await admin.remove(addressesPath).catch(ignoreAbsent);
  });

  const ignoreAbsent = (error: unknown): void => {
    if (kubeReason(error) !== 'NotFound') throw error;
  };

  async function all(namespace: string): Promise<readonly MeshService[]> {
    const list = (await admin.get(core('services', namespace))) as {
      readonly items: readonly MeshService[];
    };
    return list.items;
  }

  /** Ports as `tcp 5432`: name, transport and type are told by the word. */
  async function create(name: string, ports: readonly string[]): Promise<void> {
    await admin.create(core('services', 'shop'), {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'shop' },
      spec: { ports: ports.map(portFrom) },
    });
  }

  async function change(name: string, ports: readonly string[]): Promise<void> {
    const body = { spec: { ports: ports.map(portFrom) } };
    await admin.patch(`${core('services', 'shop')}/${name}`, { kind: 'merge', body });
  }

  async function remove(namespace: string, name: string): Promise<void> {
    await admin.remove(`${core('services', namespace)}/${name}`).catch(ignoreAbsent);
  }

  function portFrom(text: string): object {
    const [word = '', port] = text.split(' ');
    const protocol = word === 'udp' ? 'UDP' : 'TCP';
    return { name: `${word}-${port}`, port: Number(port), protocol };
  }

  async function meshService(name: string): Promise<MeshService | undefined> {
    const list = await all(meshNamespace);
    return list.find(({ metadata }) => metadata.name === name);
  }

  const ownersOf = (service: MeshService): unknown =>
    JSON.parse(service.metadata.annotations?.['weft.dev/ports'] ?? '{}');

  /** The mesh Service once its annotation says this. */
  const owned = (name: string, owners: Readonly<Record<string, string>>): Promise<MeshService> =>
    until(`${name} with ${JSON.stringify(owners).slice(0, 200)}`, async () => {
      const service = await meshService(name);
      if (service === undefined) return undefined;
      return sameEntries(ownersOf(service), owners) ? service : undefined;
    });

  const sameEntries = (left: unknown, right: object): boolean =>
    JSON.stringify(Object.entries(left as object).sort()) ===
    JSON.stringify(Object.entries(right).sort());

  const gone = (name: string): Promise<true> =>
    until(`no ${name}`, async () =>
      (await meshService(name)) === undefined ? true : undefined,
    );

  const targetsOf = (service: MeshService): Readonly<Record<string, number>> =>
    Object.fromEntries(
      (service.spec.ports ?? []).map(({ protocol, port, targetPort }) => [
        `${protocol}/${port}`,
        targetPort,
      ]),
    );

  describe('objects', () => {
    test('weft-dns and weft-peers are there although nobody asked for ports', async () => {
      const dns = await until('weft-dns', () => meshService('weft-dns'));
      const peers = await until('weft-peers', () => meshService('weft-peers'));
      expect(targetsOf(dns)).toEqual({ 'UDP/53': 15_053, 'TCP/53': 15_053 });
      expect(dns.spec).toMatchObject({
        internalTrafficPolicy: 'Cluster',
        trafficDistribution: 'PreferClose',
      });
      expect(peers.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
      for (const { metadata, spec } of [dns, peers]) {
        expect(metadata.labels?.['weft.dev/component']).toBe('mesh-service');
        expect(spec.selector).toEqual({
          'app.kubernetes.io/name': 'weft',
          'app.kubernetes.io/component': 'proxy',
        });
      }
    });

    test('TCP and UDP ports have a place, and its address is remembered', async () => {
      await create('db', ['tcp 5432', 'http 80']);
      await create('dns', ['udp 53', 'tcp 53']);
      const owners = {
        'TCP/5432': 'shop/db',
        'TCP/80': 'http',
        'UDP/53': 'shop/dns',
        'TCP/53': 'shop/dns',
      };
      const place = await owned('weft-l4-0', owners);
      expect(place.spec.internalTrafficPolicy).toBe('Local');
      const http = await until('weft-http', () => meshService('weft-http'));
      expect(targetsOf(place)['TCP/80']).toBe(targetsOf(http)['TCP/80']);
      expect(targetsOf(place)['TCP/5432']).toBeGreaterThanOrEqual(20_000);
      expect(targetsOf(place)['UDP/53']).toBeLessThan(30_000);
      await until('addresses', async () => {
        const { data } = (await admin.get(addressesPath).catch(() => ({}))) as { data?: object };
        const wanted = {
          'weft-http': http.spec.clusterIPs.join(','),
          'weft-l4-0': place.spec.clusterIPs.join(','),
          'weft-dns': (await meshService('weft-dns'))?.spec.clusterIPs.join(',') ?? '',
        };
        return data !== undefined && sameEntries(data, wanted) ? true : undefined;
      });
    });

    test('long names and 500 ports fit', async () => {
      const long = 'n'.repeat(63);
      const ports = Array.from({ length: 500 }, (_, index) => `tcp ${index + 10_000}`);
      await create(long, ['tcp 5432']);
      await create('wide', ports);
      const wide = ports.map((text) => [`TCP/${text.slice(4)}`, 'shop/wide'] as const);
      const place = await owned('weft-l4-0', {
        ...Object.fromEntries(wide),
        'TCP/5432': `shop/${long}`,
      });
      expect(new Set(Object.values(targetsOf(place))).size).toBe(501);
    });
  });

  describe('over time', () => {
    test('a service that gains a taken port moves, and the old place serves it on', async () => {
      await create('a', ['tcp 1']);
      const first = await owned('weft-l4-0', { 'TCP/1': 'shop/a' });
      await create('b', ['tcp 2']);
      await owned('weft-l4-0', { 'TCP/1': 'shop/a', 'TCP/2': 'shop/b' });
      await change('a', ['tcp 1', 'tcp 2']);
      const moved = await owned('weft-l4-1', { 'TCP/1': 'shop/a', 'TCP/2': 'shop/a' });
      expect(targetsOf(moved)['TCP/1']).toBe(targetsOf(first)['TCP/1']);
      const old = await owned('weft-l4-0', { 'TCP/1': 'shop/a', 'TCP/2': 'shop/b' });
      expect(old.metadata.annotations?.['weft.dev/ports-left']).toContain('"TCP/1"');
      aheadMs += tenMinutesMs;
      await create('c', ['tcp 3']);
      await owned('weft-l4-0', { 'TCP/2': 'shop/b', 'TCP/3': 'shop/c' });
    });

    test('a service that is created again is where it was', async () => {
      await create('a', ['tcp 1', 'udp 1']);
      const before = await owned('weft-l4-0', { 'TCP/1': 'shop/a', 'UDP/1': 'shop/a' });
      await remove('shop', 'a');
      await until('the note that it is gone', async () => {
        const service = await meshService('weft-l4-0');
        return service?.metadata.annotations?.['weft.dev/ports-left'];
      });
      await create('a', ['tcp 1', 'udp 1']);
      const after = await until('no such note', async () => {
        const service = await meshService('weft-l4-0');
        return service?.metadata.annotations?.['weft.dev/ports-left'] === undefined
          ? service
          : undefined;
      });
      expect(targetsOf(after)).toEqual(targetsOf(before));
      expect(after.metadata.uid).toBe(before.metadata.uid);
    });

    test('a port that changes protocol', async () => {
      await create('a', ['tcp 1', 'tcp 2']);
      await owned('weft-l4-0', { 'TCP/1': 'shop/a', 'TCP/2': 'shop/a' });
      await change('a', ['udp 1', 'http 2']);
      const place = await owned('weft-l4-0', {
        'TCP/1': 'shop/a',
        'UDP/1': 'shop/a',
        'TCP/2': 'http',
      });
      const names = place.spec.ports?.map(({ name }) => name).sort();
      expect(names).toEqual(['http-2', 'tcp-1', 'udp-1']);
      await change('a', ['http 1', 'http 2']);
      await until('the note that it is gone', async () => {
        const service = await meshService('weft-l4-0');
        const left = service?.metadata.annotations?.['weft.dev/ports-left'] ?? '{}';
        return Object.keys(JSON.parse(left) as object).length === 3 ? true : undefined;
      });
      aheadMs += tenMinutesMs;
      await create('b', ['http 3']);
      await gone('weft-l4-0');
    });

    test('a restart of everything keeps the ports and writes nothing', async () => {
      for (const name of ['b', 'a', 'c']) {
        await create(name, ['tcp 1', 'http 80']);
        await until(`a place for ${name}`, async () =>
          (await all(meshNamespace)).find((one) =>
            Object.values(ownersOf(one) as object).includes(`shop/${name}`),
          ),
        );
      }
      const before = await all(meshNamespace);
      await replica.stop();
      replica = await Replica.start(cluster, runtime);
      await create('d', ['tcp 1']);
      await owned('weft-l4-3', { 'TCP/1': 'shop/d' });
      const after = (await all(meshNamespace)).filter(
        ({ metadata }) => metadata.name !== 'weft-l4-3',
      );
      expect(versionsOf(after)).toEqual(versionsOf(before));
    });
  });

  const versionsOf = (services: readonly MeshService[]): object =>
    Object.fromEntries(
      services.map(({ metadata }) => [metadata.name, metadata.resourceVersion]),
    );

  describe('repair', () => {
    test('a deleted mesh Service comes back with its address and ports', async () => {
      await create('a', ['tcp 1', 'udp 1']);
      const owners = { 'TCP/1': 'shop/a', 'UDP/1': 'shop/a' };
      const before = await owned('weft-l4-0', owners);
      const again = async (): Promise<MeshService> => {
        const service = await owned('weft-l4-0', owners);
        expect(service.metadata.uid).not.toBe(before.metadata.uid);
        expect(service.spec.clusterIPs).toEqual(before.spec.clusterIPs);
        expect(targetsOf(service)).toEqual(targetsOf(before));
        return service;
      };
      await remove(meshNamespace, 'weft-l4-0');
      const second = await again();
      // Also when nobody was there to see it: the address stands in weft-addresses.
      await replica.stop();
      await remove(meshNamespace, 'weft-l4-0');
      replica = await Replica.start(cluster, runtime);
      expect((await again()).metadata.uid).not.toBe(second.metadata.uid);
    });

    test('it comes back with another address when somebody else has its own by then', async () => {
      await create('a', ['tcp 1']);
      const { spec } = await owned('weft-l4-0', { 'TCP/1': 'shop/a' });
      await replica.stop();
      await remove(meshNamespace, 'weft-l4-0');
      await admin.create(core('services', 'shop'), {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'thief', namespace: 'shop' },
        spec: { clusterIP: spec.clusterIP, ports: [{ name: 'tcp-2', port: 2 }] },
      });
      replica = await Replica.start(cluster, runtime);
      const after = await owned('weft-l4-0', { 'TCP/1': 'shop/a', 'TCP/2': 'shop/thief' });
      expect(after.spec.clusterIP).not.toBe(spec.clusterIP);
      expect(after.spec.clusterIP).not.toBe('');
    });

    test.each([
      ['its annotation', annotated('{"TCP/1":"evil/evil"}')],
      ['no annotation', annotated(null)],
      ['no label', { metadata: { labels: null } }],
      ['another traffic policy', { spec: { internalTrafficPolicy: 'Cluster' } }],
      ['another owner of its ports', { spec: { ports: [portFrom('tcp 7')] } }],
      ['a type without an address', { spec: { ...external, clusterIP: null, clusterIPs: null } }],
    ])('%s is put right', async (_what, body) => {
      await create('a', ['tcp 1']);
      const before = await owned('weft-l4-0', { 'TCP/1': 'shop/a' });
      await admin.patch(meshPath('weft-l4-0'), { kind: 'merge', body });
      const after = await until('the Service as it was', async () => {
        const service = await meshService('weft-l4-0');
        const isWritten = service?.metadata.resourceVersion !== before.metadata.resourceVersion;
        const isSame =
          JSON.stringify(formOf(service)) === JSON.stringify(formOf(before)) && isWritten;
        return isSame ? service : undefined;
      });
      expect(after.spec.clusterIPs).toEqual(before.spec.clusterIPs);
    });

    const formOf = (service: MeshService | undefined): unknown => [
      service?.metadata.labels?.['weft.dev/component'],
      service?.metadata.annotations?.['weft.dev/ports'],
      service?.spec.internalTrafficPolicy,
      service?.spec.ports?.map(({ name, targetPort }) => [name, targetPort]),
      service?.spec.clusterIP,
    ];

    test('so are weft-dns, weft-peers and weft-addresses', async () => {
      await create('a', ['tcp 1']);
      const { spec } = await owned('weft-l4-0', { 'TCP/1': 'shop/a' });
      const address = spec.clusterIPs.join(',');
      const remembered = (): Promise<unknown> =>
        until('weft-addresses', async () => {
          const { data } = (await admin.get(addressesPath).catch(() => ({}))) as {
            readonly data?: Readonly<Record<string, string>>;
          };
          return data?.['weft-l4-0'] === address && data['other'] === undefined ? true : undefined;
        });
      await remembered();
      const body = { data: { 'weft-l4-0': '10.96.77.77', other: 'x' } };
      await admin.patch(addressesPath, { kind: 'merge', body });
      await remembered();
      await admin.remove(addressesPath);
      await remembered();
      for (const name of ['weft-dns', 'weft-peers']) {
        const { metadata } = await until(name, () => meshService(name));
        await remove(meshNamespace, name);
        await until(`another ${name}`, async () => {
          const service = await meshService(name);
          return service?.metadata.uid === metadata.uid ? undefined : service;
        });
      }
    });

    test('a mesh Service that nobody needs goes, others in the namespace stay', async () => {
      const labels = { 'app.kubernetes.io/name': 'weft', 'weft.dev/component': 'mesh-service' };
      for (const [name, given] of [['weft-l4-9', labels], ['mine', {}]] as const) {
        await admin.create(core('services', meshNamespace), {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name, namespace: meshNamespace, labels: given },
          spec: { ports: [{ port: 1 }] },
        });
      }
      await gone('weft-l4-9');
      expect(await meshService('mine')).toBeDefined();
    });

    test('all of it is applied, under a name of its own', async () => {
      await create('a', ['tcp 1', 'http 80']);
      await owned('weft-l4-0', { 'TCP/1': 'shop/a', 'TCP/80': 'http' });
      const services = await until('all four', async () => {
        const list = await all(meshNamespace);
        return list.length === 4 ? list : undefined;
      });
      const managers = services.flatMap(({ metadata }) => metadata.managedFields ?? []);
      expect(new Set(managers.map(({ manager, operation }) => `${manager} ${operation}`))).toEqual(
        new Set(['weft-controller Apply']),
      );
    });
  });

  test('100 services that come one by one are few writes', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `s${index}`);
    const before = replica.writers.length;
    for (const [index, name] of names.entries()) await create(name, [`tcp ${index + 1}`]);
    const owners = names.map((name, index) => [`TCP/${index + 1}`, `shop/${name}`]);
    await owned('weft-l4-0', Object.fromEntries(owners) as Record<string, string>);
    // weft-dns, weft-peers, weft-addresses, and not 100 times weft-l4-0.
    expect(replica.writers.length - before).toBeLessThan(20);
  });
}
