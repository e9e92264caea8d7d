// A rotation of the root on a real API server, with proxies that lag: in every moment each of them
// takes each certificate that is issued, the old key is gone once the new root signs, and a
// rotation waits for who does not answer. The keepers' time runs thirty times as fast.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { meshSettingsOf, parsers, type Pod } from '../../src/api/index.ts';
import { IdentityKeeper } from '../../src/controller/identity/keep-identity.ts';
import { acceptIssued } from '../../src/identity/control.ts';
import { readTrustBundle, type SpiffeId } from '../../src/identity/index.ts';
import { kubeReason, resourcePath, type Connection } from '../../src/kube/index.ts';
import type { Runtime } from '../../src/lib/clock.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import { createRegistry } from '../../src/telemetry/control.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { FakeTrust } from './support/fake-trust.ts';
import { home, IdentityCluster, names } from './support/identity-cluster.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

const speed = 30;
const startMs = Date.now();
const fast: Runtime = {
  clock: {
    nowMs: () => realRuntime.clock.nowMs() * speed,
    wallMs: () => startMs + (Date.now() - startMs) * speed,
  },
  timers: { after: (delayMs, callback) => realRuntime.timers.after(delayMs / speed, callback) },
  random: () => realRuntime.random(),
};

const secretPath = `/api/v1/namespaces/${home}/secrets/weft-ca`;
let cluster: IdentityCluster;
let asker: Connection;
let keeper: IdentityKeeper;
const pods = new Map<string, Pod>();
const proxies: FakeTrust[] = [];

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  for (const node of ['node-a', 'node-b']) await cluster.node(node);
  await cluster.account('shop', 'web');
  const web = { namespace: 'shop', name: 'web', node: 'node-a', account: 'web' };
  await cluster.pod({ ...web, address: '10.1.0.1' });
  for (const [node, address] of [['node-a', '127.66.0.1'], ['node-b', '127.66.0.2']] as const) {
    const proxy = new FakeTrust(cluster, address);
    const pod = await proxy.start(node);
    proxies.push(proxy);
    // Every pod of the account is asked, so nobody else may ask for a certificate.
    if (node === 'node-a') asker = await cluster.as(home, 'weft-proxy', pod);
  }
  const list = await cluster.admin.get(
    resourcePath({ group: '', version: 'v1', plural: 'pods' }),
  );
  for (const item of (list as { readonly items: readonly unknown[] }).items) {
    const pod = parsers.Pod(item).value;
    if (pod !== undefined) pods.set(`${pod.meta.namespace}/${pod.meta.name}`, pod);
  }
  keeper = new IdentityKeeper({
    connection: await cluster.as(home, 'weft-controller'),
    runtime: fast,
    log: silentLog,
    keys: nodeKeys,
    registry: createRegistry({
      clock: fast.clock,
      component: 'controller',
      version: 'test',
      nodeVersion: process.versions.node,
    }),
    settings: meshSettingsOf(new Map()),
    isLeading: () => true,
    pods: () => pods,
    onProblems: () => undefined,
  });
  await cluster.trust();
  for (const proxy of proxies) {
    await proxy.read();
    proxy.renew();
  }
}, 120_000);

afterAll(async () => {
  await keeper.stop();
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  await cluster.stop();
});

async function secret() {
  return (await cluster.admin.get(secretPath)) as {
    readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
    readonly data: Readonly<Record<string, string>>;
  };
}

async function phase(): Promise<string> {
  return (await secret()).metadata.annotations['weft.dev/phase'] ?? '';
}

/** Every proxy takes what is issued now. */
async function issueForAll(): Promise<void> {
  const key = await nodeKeys.makeKey();
  const answer = await cluster.ask(asker, { key, sans: names('shop/web', 'node-a') });
  expect(answer.state).toBe('issued');
  for (const { roots } of proxies) {
    const accepted = acceptIssued(answer.state === 'issued' ? answer.pem : '', {
      trustDomain: 'cluster.local',
      // Of this test.
      spiffeId: 'spiffe://cluster.local/ns/shop/sa/web' as SpiffeId,
      node: 'node-a',
      publicKey: key.publicKeySpki,
      roots,
      nowMs: fast.clock.wallMs(),
    });
    expect(accepted.kind).toBe('accepted');
  }
}

async function reach(wanted: string): Promise<void> {
  await until(`phase ${wanted}`, async () => {
    await issueForAll();
    return (await phase()) === wanted;
  });
}

/** Two minutes and a half of the keeper: a round is five seconds. */
async function untilAskedOften(proxy: FakeTrust): Promise<void> {
  const before = proxy.asked;
  await until('thirty more rounds', () => proxy.asked >= before + 30);
}

const rootsOf = async (): Promise<readonly string[]> =>
  readTrustBundle(await cluster.trust()).roots.map(({ fingerprint }) => fingerprint);

test('a root is replaced, and every certificate is taken by every proxy meanwhile', async () => {
  const [near, far] = proxies;
  if (near === undefined || far === undefined) throw new Error('there are two');
  const [old = ''] = await rootsOf();
  const oldKey = (await secret()).data['tls.key'];
  const annotations = { 'weft.dev/rotate': 'now' };
  await cluster.admin.patch(secretPath, { kind: 'merge', body: { metadata: { annotations } } });
  await reach('adding');
  await until('both roots are published', async () => (await rootsOf()).length === 2);
  await near.read();
  far.isSilent = true;
  await untilAskedOften(far);
  await issueForAll();
  expect(await phase()).toBe('adding');
  expect((await rootsOf())[0]).toBe(old);
  far.isSilent = false;
  await far.read();
  await reach('switching');
  const { data } = await secret();
  expect(Object.values(data)).not.toContain(oldKey);
  expect(Object.keys(data).sort()).toEqual(['previous.crt', 'tls.crt', 'tls.key']);
  await until('the new root is first', async () => (await rootsOf())[1] === old);
  await Promise.all(proxies.map((proxy) => proxy.read()));
  near.renew();
  await untilAskedOften(far);
  expect(await phase()).toBe('switching');
  far.renew();
  await reach('removing');
  await until('one root is published', async () => (await rootsOf()).length === 1);
  expect(await rootsOf()).not.toContain(old);
  await near.read();
  await issueForAll();
  expect(await phase()).toBe('removing');
  await far.read();
  await reach('steady');
  expect(Object.keys((await secret()).data).sort()).toEqual(['tls.crt', 'tls.key']);
  expect((await secret()).metadata.annotations).not.toHaveProperty('weft.dev/rotate');
});

test('an authority beside it that may not sign stops the rotation before it begins', async () => {
  const before = await rootsOf();
  const next = Buffer.from('no certificate').toString('base64');
  await cluster.admin.patch(secretPath, {
    kind: 'merge',
    body: {
      metadata: { annotations: { 'weft.dev/rotate': 'now' } },
      data: { 'next.crt': next, 'next.key': next },
    },
  });
  await until('it is told', () => keeper.problems().length === 1);
  expect(keeper.problems()).toMatchObject([{ kind: 'Secret', reason: 'AuthorityRefused' }]);
  await issueForAll();
  expect([await phase(), await rootsOf()]).toEqual(['steady', before]);
  await cluster.admin.patch(secretPath, {
    kind: 'merge',
    body: {
      metadata: { annotations: { 'weft.dev/rotate': null } },
      data: { 'next.crt': null, 'next.key': null },
    },
  });
  await until('it is gone', () => keeper.problems().length === 0);
});

test('what was answered is cleared away, a denial later than a certificate', async () => {
  const good = await cluster.post(asker, { sans: names('shop/web', 'node-a') });
  const bad = await cluster.post(asker, { sans: names('shop/nobody', 'node-a') });
  expect((await cluster.answerTo(bad)).state).toBe('Denied');
  const isGone = (name: string): Promise<boolean> =>
    cluster.request(name).then(
      () => false,
      (error: unknown) => kubeReason(error) === 'NotFound',
    );
  await until('the certificate is cleared away', () => isGone(good));
  expect(await isGone(bad)).toBe(false);
  await until('the denial is cleared away', () => isGone(bad), 60_000);
});

test('a pending request of a pod that is gone is cleared away', async () => {
  const data = { 'tls.key': Buffer.from('none').toString('base64') };
  const { data: before } = await secret();
  // Nothing is judged without an authority.
  await cluster.admin.patch(secretPath, { kind: 'merge', body: { data } });
  await until('there is no authority', () => keeper.problems().length > 0);
  const ended = await cluster.proxy('node-a', 'ended');
  const name = await cluster.post(ended, { sans: names('shop/web', 'node-a') });
  await cluster.deletePod(home, 'ended', 0);
  await until('it is cleared away', async () => {
    return (await cluster.request(name).catch(kubeReason)) === 'NotFound';
  });
  await cluster.admin.patch(secretPath, { kind: 'merge', body: { data: before } });
  await issueForAll();
});
