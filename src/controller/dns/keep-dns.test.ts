// The keeper of DNS wiring against an API server in memory and a clock that the test moves: who
// provides DNS, where the blocks stand, when they are written and when they are not.
import { describe, expect, test } from 'vitest';
import { DnsCluster, importing, kubeadm } from '../../../test/support/dns-cluster.ts';
import { inspectDns } from './inspect-dns.ts';
import { findDnsTraces, unwireDns } from './unwire-dns.ts';

const lookMs = 10_000;
const block = /^mesh:53 mesh\.svc\.cluster\.local:53 \{\n/m;

async function wired(maps: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const cluster = new DnsCluster();
  for (const [name, data] of Object.entries(maps)) cluster.put(name, data);
  await cluster.after(0);
  return cluster;
}

/** Cleans up as `weft uninstall` does, and says what is left. */
async function cleaned({ api, settings }: DnsCluster) {
  const options = { connection: api.connection, settings };
  const traces = await unwireDns(options);
  return { traces, left: await findDnsTraces(options) };
}

describe('when', () => {
  test('nothing is written before mesh DNS has an address', async () => {
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: kubeadm });
    cluster.address = undefined;
    await cluster.after(60_000);
    expect(cluster.api.writes).toEqual([]);
    cluster.address = '10.96.7.7';
    await cluster.after(0);
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.problems).toEqual([]);
  });

  test('what is as it should be is not written again', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    await cluster.after(10 * 60_000);
    expect(cluster.api.writes).toHaveLength(1);
  });

  test('a follower writes nothing and tells nothing; the next leader does', async () => {
    const cluster = new DnsCluster();
    cluster.isLeading = false;
    cluster.put('coredns', { Corefile: 'oops {' });
    await cluster.after(60_000);
    expect(cluster.problems).toEqual([]);
    cluster.isLeading = true;
    cluster.look();
    await cluster.after(0);
    expect(cluster.reasons).toEqual(['ConfigMap kube-system/coredns DnsNotWired']);
    cluster.isLeading = false;
    cluster.put('coredns', { Corefile: kubeadm });
    await cluster.after(2 * lookMs);
    expect([cluster.api.writes, cluster.problems]).toEqual([[], []]);
  });

  test('another address replaces the first', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    cluster.address = '10.96.8.8';
    await cluster.after(0);
    expect(cluster.corefile()).toContain('forward . 10.96.8.8');
    expect(cluster.corefile()).not.toContain('10.96.7.7');
  });

  test("somebody's edit at the same moment survives", async () => {
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: kubeadm });
    const theirs = `${kubeadm}corp.example:53 {\n    whoami\n}\n`;
    cluster.api.beforeWrite = () => cluster.put('coredns', { Corefile: theirs });
    await cluster.after(lookMs);
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.corefile().endsWith(theirs)).toBe(true);
  });

  test('an API server that is away is asked again', async () => {
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: kubeadm });
    cluster.api.refuse(`GET ${cluster.path('coredns')}`, 'Unreachable');
    await cluster.after(60_000);
    cluster.api.refuse(`GET ${cluster.path('coredns')}`, undefined);
    await cluster.after(30_000);
    expect(cluster.corefile()).toMatch(block);
  });
});

describe('reverts', () => {
  test('the first is put right at the next look', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    cluster.put('coredns', { Corefile: kubeadm });
    await cluster.after(lookMs);
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.problems).toEqual([]);
  });

  test('whoever reverts all the time is answered ever more slowly, and told', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    const rewrites: number[] = [];
    for (let second = 0; second < 2 * 3_600; second += 1) {
      if (block.test(cluster.corefile())) {
        rewrites.push(cluster.fake.nowMs);
        cluster.put('coredns', { Corefile: kubeadm });
      }
      await cluster.fake.advance(1_000);
    }
    expect(cluster.reasons).toContain('ConfigMap kube-system/coredns DnsReverted');
    // Up to five minutes apart: more than 24, fewer than one a minute.
    expect(rewrites.length).toBeGreaterThan(20);
    expect(rewrites.length).toBeLessThan(80);
  });

  test('a new wish is no revert', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    for (let last = 1; last < 9; last += 1) {
      cluster.address = `10.96.8.${last}`;
      await cluster.after(lookMs);
      expect(cluster.corefile()).toContain(`10.96.8.${last}\n`);
    }
    expect(cluster.problems).toEqual([]);
  });

  test('peace of a quarter of an hour is forgiven', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    for (let time = 0; time < 4; time += 1) {
      cluster.put('coredns', { Corefile: kubeadm });
      await cluster.after(20 * 60_000);
      expect(cluster.corefile()).toMatch(block);
    }
    expect(cluster.problems).toEqual([]);
  });
});

describe('a namespace called like the mesh domain', () => {
  test('keeps the domain from being wired, and others are wired', async () => {
    const cluster = new DnsCluster(['mesh', 'traefik.mesh']);
    cluster.put('coredns', { Corefile: kubeadm });
    cluster.namespaces = ['mesh'];
    await cluster.after(lookMs);
    expect(cluster.corefile()).not.toContain('mesh.svc');
    expect(cluster.corefile()).toContain('traefik.mesh:53 {');
    expect(cluster.reasons).toEqual(['Namespace mesh MeshDomainTaken']);
    cluster.namespaces = [];
    await cluster.after(0);
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.problems).toEqual([]);
  });

  test('that comes later is told, and what is wired stays, even when it is reverted', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    cluster.namespaces = ['mesh'];
    await cluster.after(lookMs);
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.reasons).toEqual(['Namespace mesh MeshDomainTaken']);
    cluster.put('coredns', { Corefile: kubeadm });
    await cluster.after(lookMs);
    expect(cluster.corefile()).toMatch(block);
  });

  test('that comes while no controller runs does not take the wiring away', async () => {
    const before = await wired({ coredns: { Corefile: kubeadm } });
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: before.corefile() });
    cluster.namespaces = ['mesh'];
    await cluster.after(lookMs);
    expect(cluster.corefile()).toBe(before.corefile());
    expect(cluster.api.writes).toEqual([]);
  });
});

describe('providers', () => {
  test('coredns-custom gets a key of its own where the Corefile loads it', async () => {
    const cluster = await wired({
      coredns: { Corefile: importing },
      'coredns-custom': { 'log.override': 'log' },
    });
    expect(cluster.corefile()).toBe(importing);
    expect(cluster.data('coredns-custom')?.['weft.server']).toMatch(block);
    expect((await cleaned(cluster)).left).toEqual([]);
    expect(cluster.data('coredns-custom')).toEqual({ 'log.override': 'log' });
  });

  test('a coredns-custom that holds nothing, or that nothing loads', async () => {
    const empty = new DnsCluster();
    empty.put('coredns', { Corefile: importing });
    empty.put('coredns-custom', undefined);
    await empty.after(0);
    expect(empty.data('coredns-custom')?.['weft.server']).toMatch(block);
    const unused = await wired({ coredns: { Corefile: kubeadm }, 'coredns-custom': {} });
    expect(unused.corefile()).toMatch(block);
    expect(unused.data('coredns-custom')).toEqual({});
  });

  test('blocks stay where they are when coredns-custom appears, never twice', async () => {
    const cluster = await wired({ coredns: { Corefile: importing } });
    cluster.put('coredns-custom', {});
    await cluster.after(lookMs);
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.data('coredns-custom')).toEqual({});
    // k3s writes its Corefile anew at each start.
    cluster.put('coredns', { Corefile: importing });
    await cluster.after(lookMs);
    expect(cluster.corefile()).toBe(importing);
    const custom = cluster.data('coredns-custom')?.['weft.server'] ?? '';
    expect(custom).toMatch(block);
    cluster.put('coredns', { Corefile: custom + importing });
    await cluster.after(lookMs);
    expect(cluster.corefile()).toBe(importing);
  });

  test("a zone in somebody's key of coredns-custom is not served twice", async () => {
    const cluster = await wired({
      coredns: { Corefile: importing },
      'coredns-custom': { 'old.server': 'mesh:53 {\n    forward . 10.0.0.1\n}\n' },
    });
    expect(cluster.data('coredns-custom')?.['weft.server']).toBeUndefined();
    expect(cluster.problems[0]?.message).toContain('zone mesh is served by another block');
  });

  test('RKE2 has a ConfigMap of another name', async () => {
    const name = 'rke2-coredns-rke2-coredns';
    const cluster = await wired({ [name]: { Corefile: kubeadm } });
    expect(cluster.corefile(name)).toMatch(block);
    await cleaned(cluster);
    expect(cluster.corefile(name)).toBe(kubeadm);
  });

  test('kube-dns gets stub domains, and all is as before without them', async () => {
    const stubDomains = '{\n "acme.local": ["1.2.3.4"]\n}\n';
    const cluster = new DnsCluster();
    cluster.put('kube-dns', { stubDomains, upstreamNameservers: '["8.8.8.8"]' });
    cluster.putDeployment('kube-dns');
    // Left behind by another provider: nobody reads it.
    cluster.put('coredns', { Corefile: kubeadm });
    const before = cluster.api.at(cluster.path('kube-dns'));
    await cluster.after(lookMs);
    expect(JSON.parse(cluster.data('kube-dns')?.['stubDomains'] ?? '')).toMatchObject({
      mesh: ['10.96.7.7'],
      'mesh.svc.cluster.local': ['10.96.7.7'],
    });
    expect(cluster.corefile()).toBe(kubeadm);
    expect(cluster.problems).toEqual([]);
    expect((await cleaned(cluster)).left).toEqual([]);
    const after = cluster.api.at(cluster.path('kube-dns'));
    expect(after?.['data']).toEqual(before?.['data']);
    expect(after?.metadata['annotations'] ?? {}).toEqual({});
  });

  test('a ConfigMap kube-dns that was not there goes again', async () => {
    const cluster = new DnsCluster();
    cluster.putDeployment('kube-dns');
    await cluster.after(lookMs);
    expect(cluster.data('kube-dns')?.['stubDomains']).toContain('10.96.7.7');
    await cluster.after(lookMs);
    expect(cluster.api.writes).toHaveLength(1);
    await cleaned(cluster);
    expect(cluster.api.at(cluster.path('kube-dns'))).toBeUndefined();
  });

  test('NodeLocal DNSCache gets the block beside CoreDNS', async () => {
    const node = `.:53 {\n    bind 169.254.20.10\n    reload\n}\n`;
    const cluster = await wired({
      coredns: { Corefile: kubeadm },
      'node-local-dns': { Corefile: node },
    });
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.corefile('node-local-dns')).toMatch(block);
    expect(cluster.corefile('node-local-dns').match(/bind 169\.254\.20\.10/g)).toHaveLength(2);
    await cleaned(cluster);
    expect([cluster.corefile(), cluster.corefile('node-local-dns')]).toEqual([kubeadm, node]);
  });

  test('NodeLocal DNSCache beside kube-dns reads the stub domains and gets no block', async () => {
    const node = `.:53 {\n    bind 169.254.20.10\n    reload\n}\n`;
    const cluster = new DnsCluster();
    cluster.putDeployment('kube-dns');
    cluster.put('kube-dns', {});
    cluster.put('node-local-dns', { Corefile: node });
    await cluster.after(lookMs);
    expect(cluster.corefile('node-local-dns')).toBe(node);
    // The cluster goes over to CoreDNS: what stood for kube-dns goes, in the same look.
    cluster.put('coredns', { Corefile: kubeadm });
    cluster.putDeployment('coredns');
    cluster.api.writes.length = 0;
    await cluster.after(lookMs);
    const names = cluster.api.writes.map((write) => write.split('/').at(-1));
    expect(names).toEqual(['kube-dns', 'coredns', 'node-local-dns']);
    expect(cluster.data('kube-dns')?.['stubDomains']).toBeUndefined();
    expect(cluster.corefile('node-local-dns')).toMatch(block);
    expect(cluster.corefile()).toMatch(block);
  });
});

describe('what a person has to do', () => {
  test.each([
    ['braces that do not match', 'oops {\n', 'cannot be read'],
    ['a damaged marker', `# weft:begin x\n${kubeadm}`, 'markers of weft are damaged (lines 1)'],
  ])('%s: left alone, with the lines to add', async (_what, text, why) => {
    const cluster = await wired({ coredns: { Corefile: text } });
    await cluster.after(60_000);
    expect(cluster.corefile()).toBe(text);
    expect(cluster.api.writes).toEqual([]);
    expect(cluster.reasons).toEqual(['ConfigMap kube-system/coredns DnsNotWired']);
    expect(cluster.problems[0]?.message).toContain(why);
    expect(cluster.problems[0]?.message).toMatch(block);
    // An Event shows 340 characters.
    expect(cluster.problems[0]?.message.length).toBeLessThan(340);
  });

  test('a Corefile that nothing reloads is told', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm.replace('    reload\n', '') } });
    expect(cluster.corefile()).toMatch(block);
    expect(cluster.reasons).toEqual(['ConfigMap kube-system/coredns DnsNotReloaded']);
  });

  test.each(['Forbidden', 'Invalid'] as const)('a write that is %s is told', async (reason) => {
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: kubeadm });
    cluster.api.refuse(`PATCH ${cluster.path('coredns')}`, reason);
    await cluster.after(lookMs);
    expect(cluster.reasons).toEqual(['ConfigMap kube-system/coredns DnsNotWired']);
    expect(cluster.problems[0]?.message).toMatch(block);
    cluster.api.refuse(`PATCH ${cluster.path('coredns')}`, undefined);
    await cluster.after(lookMs);
    expect(cluster.problems).toEqual([]);
  });

  test('a ConfigMap that may not be read is told', async () => {
    const cluster = new DnsCluster();
    cluster.api.refuse(`GET ${cluster.path('coredns')}`, 'Forbidden');
    await cluster.after(lookMs);
    expect(cluster.reasons).toEqual(['ConfigMap kube-system/coredns DnsNotWired']);
  });

  test('a DNS that we do not know is told on our own Service', async () => {
    const cluster = await wired({});
    expect(cluster.reasons).toEqual(['Service weft-system/weft-dns DnsNotWired']);
    expect(cluster.problems[0]?.message).toMatch(block);
  });

  test('on OpenShift the lines are those of its operator, until they are in force', async () => {
    const text = '.:5353 {\n    whoami\n    reload\n}\n';
    const cluster = await wired({ 'openshift-dns/dns-default': { Corefile: text } });
    expect(cluster.api.writes).toEqual([]);
    expect(cluster.reasons).toEqual(['ConfigMap openshift-dns/dns-default DnsNotWired']);
    expect(cluster.problems[0]?.message).toContain('zones: [mesh, mesh.svc.cluster.local]');
    const zones = 'mesh:5353 mesh.svc.cluster.local:5353';
    const forward = 'forward . 10.96.7.7 {\n        policy random\n    }';
    const served = `${zones} {\n    ${forward}\n}\n${text}`;
    cluster.put('openshift-dns/dns-default', { Corefile: served });
    await cluster.after(lookMs);
    expect(cluster.problems).toEqual([]);
  });
});

describe('taking it out', () => {
  test('is listed first, retried on a conflict, and gives every byte back', async () => {
    const text = `\ufeff${kubeadm.trimEnd()}`.replaceAll('\n', '\r\n');
    const cluster = await wired({ coredns: { Corefile: text } });
    const options = { connection: cluster.api.connection, settings: cluster.settings };
    const place = { namespace: 'kube-system', configMap: 'coredns', key: 'Corefile' };
    expect(await findDnsTraces(options)).toEqual([{ ...place, leftBecause: undefined }]);
    expect(cluster.corefile()).not.toBe(text);
    cluster.api.beforeWrite = () => cluster.edit('coredns', { other: 'x' });
    expect(await unwireDns(options)).toEqual([{ ...place, leftBecause: undefined }]);
    expect(cluster.data('coredns')).toEqual({ Corefile: text, other: 'x' });
    expect(await findDnsTraces(options)).toEqual([]);
  });

  test('leaves what is not ours alone and says why', async () => {
    const text = `# weft:begin x\nmy.example {\n}\n# weft:end\n${kubeadm}`;
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: text });
    const { traces } = await cleaned(cluster);
    expect(traces[0]?.leftBecause).toContain('somebody else');
    expect(cluster.corefile()).toBe(text);
  });
});

describe('what a check tells', () => {
  const inspect = ({ api, settings }: DnsCluster) => inspectDns(api.connection, settings);
  const service = '/api/v1/namespaces/weft-system/services/weft-dns';
  const withService = (cluster: DnsCluster) =>
    cluster.api.put(service, { metadata: {}, spec: { clusterIP: '10.96.7.7' } });

  test('before installation: where it would be wired', async () => {
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: kubeadm });
    const report = await inspect(cluster);
    expect(report).toMatchObject({ provider: 'coredns', address: undefined, isWired: false });
    expect(report.places).toEqual([
      {
        namespace: 'kube-system',
        configMap: 'coredns',
        key: 'Corefile',
        state: 'due',
        served: ['mesh'],
      },
    ]);
    expect([report.problems, report.linesByHand]).toEqual([[], '']);
  });

  test('afterwards: that it is wired', async () => {
    const cluster = await wired({ coredns: { Corefile: kubeadm } });
    withService(cluster);
    const report = await inspect(cluster);
    expect(report).toMatchObject({ address: '10.96.7.7', isWired: true });
    expect(report.places[0]?.state).toBe('wired');
  });

  test('what is in the way, and the lines to add by hand', async () => {
    const cluster = new DnsCluster();
    cluster.put('coredns', { Corefile: 'oops {' });
    withService(cluster);
    cluster.api.put('/api/v1/namespaces/mesh', { metadata: { name: 'mesh' } });
    const report = await inspect(cluster);
    expect(report).toMatchObject({ isWired: false, clashes: ['mesh'] });
    expect(report.places[0]?.state).toBe('left');
    const told = report.problems.map(({ reason }) => reason);
    expect(told).toEqual(['DnsNotWired', 'MeshDomainTaken']);
  });

  test('nobody provides DNS that we know', async () => {
    const report = await inspect(new DnsCluster());
    expect(report.provider).toBeUndefined();
    expect(report.linesByHand).toMatch(block);
  });
});
