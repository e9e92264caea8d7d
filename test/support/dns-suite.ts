// What the controller promises about the DNS of the cluster, as one suite for any API server: the
// embedded one (test/integration) and the real one (test/kube) have to give the same answers.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { meshSettingsOf } from '../../src/api/index.ts';
import { findDnsTraces, inspectDns, unwireDns } from '../../src/controller/index.ts';
import { planDns } from '../../src/controller/dns/plan-dns.ts';
import { readDnsFacts } from '../../src/controller/dns/read-dns.ts';
import { writeChange } from '../../src/controller/dns/write-place.ts';
import { kubeReason } from '../../src/kube/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import type { Runtime } from '../../src/lib/clock.ts';
import { until } from '../kube/support/until.ts';
import { Replica, type TestCluster } from './controller-suite.ts';
import { importing, kubeadm } from './dns-cluster.ts';

type ConfigMap = {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly { readonly manager: string }[];
  };
  readonly data?: Readonly<Record<string, string>>;
};

const settings = meshSettingsOf(new Map());
const collection = '/api/v1/namespaces/kube-system/configmaps';
const meshDns = '/api/v1/namespaces/weft-system/services/weft-dns';
const block = /^mesh:53 mesh\.svc\.cluster\.local:53 \{\n/m;

export function dnsSuite(start: () => Promise<TestCluster>, runtime: Runtime): void {
  let cluster: TestCluster;
  let admin: Connection;
  let replicas: readonly Replica[] = [];

  beforeAll(async () => {
    cluster = await start();
    admin = await cluster.connect();
    for (const name of ['kube-system', 'weft-system']) {
      await ignoring('AlreadyExists', () => admin.create('/api/v1/namespaces', namespaceOf(name)));
    }
  });

  afterEach(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    replicas = [];
    for (const name of ['coredns', 'coredns-custom', 'kube-dns', 'node-local-dns']) {
      await ignoring('NotFound', () => admin.remove(`${collection}/${name}`));
    }
  });

  afterAll(async () => {
    await admin.close();
    await cluster.stop();
  });

  const read = async (name: string) => (await admin.get(`${collection}/${name}`)) as ConfigMap;
  const create = (name: string, data: Readonly<Record<string, string>>) =>
    admin.create(collection, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
  const edit = (name: string, data: Readonly<Record<string, string | null>>) =>
    admin.patch(`${collection}/${name}`, { kind: 'merge', body: { data } });
  const wishOf = (address: string) => ({
    domains: ['mesh'],
    clusterDomain: 'cluster.local',
    address,
    withheld: new Set<string>(),
  });

  async function lead(): Promise<void> {
    const both = [Replica.start(cluster, runtime), Replica.start(cluster, runtime)];
    replicas = await Promise.all(both);
  }

  const corefileIs = (what: string, holds: (text: string) => boolean) =>
    until(what, async () => holds((await read('coredns')).data?.['Corefile'] ?? '') || undefined);

  describe('the controller and the DNS of the cluster', () => {
    test('wires the Corefile to weft-dns, keeps it so, and it can be taken out', async () => {
      await create('coredns', { Corefile: kubeadm });
      await lead();
      await corefileIs('our block', (text) => block.test(text));
      const service = (await admin.get(meshDns)) as { spec: { clusterIP: string } };
      const { data, metadata } = await read('coredns');
      expect(data?.['Corefile']).toContain(`forward . ${service.spec.clusterIP}\n`);
      expect(data?.['Corefile']?.endsWith(kubeadm)).toBe(true);
      expect(metadata.managedFields?.map(({ manager }) => manager)).toContain('weft-dns');
      // What an add-on manager does: all as it was delivered.
      await edit('coredns', { Corefile: kubeadm });
      await corefileIs('our block again', (text) => block.test(text));
      const report = await inspectDns(admin, settings);
      expect(report).toMatchObject({ provider: 'coredns', isWired: true, problems: [] });
      await Promise.all(replicas.map((replica) => replica.stop()));
      replicas = [];
      expect(await unwireDns({ connection: admin, settings })).toHaveLength(1);
      expect((await read('coredns')).data).toEqual({ Corefile: kubeadm });
      expect(await findDnsTraces({ connection: admin, settings })).toEqual([]);
    }, 60_000);

    test('a namespace called like the mesh domain is told and does not unwire it', async () => {
      await create('coredns', { Corefile: kubeadm });
      await lead();
      await corefileIs('our block', (text) => block.test(text));
      await admin.create('/api/v1/namespaces', namespaceOf('mesh'));
      await until('the problem is told by the leader', async () => {
        const pages = await Promise.all(replicas.map((one) => one.page('/debug/problems')));
        return pages.some(({ body }) => body.includes('MeshDomainTaken')) || undefined;
      });
      expect((await read('coredns')).data?.['Corefile']).toMatch(block);
      await admin.remove('/api/v1/namespaces/mesh');
    }, 60_000);

    test('what cannot be read is left alone and told', async () => {
      await create('coredns', { Corefile: 'oops {\n' });
      await lead();
      await until('the problem is told by the leader', async () => {
        const pages = await Promise.all(replicas.map((one) => one.page('/debug/problems')));
        return pages.some(({ body }) => body.includes('DnsNotWired')) || undefined;
      });
      expect((await read('coredns')).data).toEqual({ Corefile: 'oops {\n' });
    }, 60_000);
  });

  describe('writes', () => {
    const places = async () => planDns(await readDnsFacts(admin), wishOf('10.96.7.7')).places;

    async function writeAll(): Promise<void> {
      for (const { configMap, change } of await places()) {
        if (change !== undefined) await writeChange(admin, configMap, change);
      }
    }

    test('of what was read before somebody else wrote are refused', async () => {
      await create('coredns', { Corefile: kubeadm });
      const [place] = await places();
      await edit('coredns', { other: 'x' });
      const change = place?.change;
      if (place === undefined || change === undefined) throw new Error('nothing is due');
      const refused = await writeChange(admin, place.configMap, change).catch(kubeReason);
      expect(refused).toBe('Conflict');
      expect((await read('coredns')).data).toEqual({ Corefile: kubeadm, other: 'x' });
      await writeAll();
      expect((await read('coredns')).data?.['Corefile']).toMatch(block);
      expect((await places()).map(({ change: due }) => due)).toEqual([undefined]);
    });

    test('go to coredns-custom where the Corefile loads it, and come out again', async () => {
      await create('coredns', { Corefile: importing });
      await create('coredns-custom', {});
      const before = await read('coredns-custom');
      await writeAll();
      expect((await read('coredns-custom')).data?.['weft.server']).toMatch(block);
      expect((await read('coredns')).data).toEqual({ Corefile: importing });
      await unwireDns({ connection: admin, settings });
      expect((await read('coredns-custom')).data).toEqual(before.data);
    });

    test('make and remove what kube-dns needs', async () => {
      const stubDomains = '{"acme.local" : ["1.2.3.4"]}';
      await create('kube-dns', { stubDomains });
      await writeAll();
      const held = await read('kube-dns');
      expect(JSON.parse(held.data?.['stubDomains'] ?? '')).toMatchObject({ mesh: ['10.96.7.7'] });
      expect((await places()).map(({ change }) => change)).toEqual([undefined]);
      await unwireDns({ connection: admin, settings });
      const after = await read('kube-dns');
      expect([after.data, after.metadata.annotations ?? {}]).toEqual([{ stubDomains }, {}]);
    });

    test('of an immutable ConfigMap are refused as such', async () => {
      const metadata = { name: 'coredns' };
      const data = { Corefile: kubeadm };
      await admin.create(collection, { metadata, data, immutable: true });
      const [place] = await places();
      const change = place?.change;
      if (place === undefined || change === undefined) throw new Error('nothing is due');
      const refused = await writeChange(admin, place.configMap, change).catch(kubeReason);
      expect(refused).toBe('Invalid');
    });
  });
}

function namespaceOf(name: string) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

async function ignoring(reason: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (kubeReason(error) !== reason) throw error;
  }
}
