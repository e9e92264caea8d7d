// Who gets a certificate, on a real API server with tokens that it has bound to pods itself: a
// proxy gets the identities of its node, bound to it, and nobody gets anything else. Each row of
// the tables is an attempt of somebody who wants more; the reason stands among the conditions.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { acceptIssued } from '../../src/identity/control.ts';
import { readTrustBundle, type SpiffeId } from '../../src/identity/index.ts';
import { resourcePath, type Connection } from '../../src/kube/index.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import {
  home,
  IdentityCluster,
  names,
  requests,
  type Answer,
  type RunningController,
  type Wish,
} from './support/identity-cluster.ts';
import { until } from './support/until.ts';

const scratch = mkdtempSync(join(tmpdir(), 'weft-requests-'));
let cluster: IdentityCluster;
let proxyA: Connection;
const controllers: RunningController[] = [];
/** Posted before there was a controller. */
const early = new Map<string, string>();

function openssl(...args: readonly string[]): string {
  const ran = spawnSync('openssl', args, { encoding: 'utf8', timeout: 30_000 });
  if (ran.error !== undefined) throw ran.error;
  expect(ran.stderr + ran.stdout).not.toContain('rror');
  return ran.stdout;
}

/** A request as openssl makes it. */
function foreignRequest(key: readonly string[], subject: string, extensions: string): string {
  const config = join(scratch, 'request.cnf');
  const keyFile = join(scratch, 'key.pem');
  openssl('genpkey', ...key, '-out', keyFile);
  const text = `[req]\ndistinguished_name=dn\nreq_extensions=ext\n[dn]\n[ext]\n${extensions}\n`;
  writeFileSync(config, text);
  const args = ['-new', '-key', keyFile, '-subj', subject, '-config', config, '-outform', 'PEM'];
  return openssl('req', ...args);
}

const p256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const goodNames =
  'subjectAltName=critical,URI:spiffe://cluster.local/ns/shop/sa/web,DNS:node-a.node.weft.dev';

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  for (const node of ['node-a', 'node-b']) await cluster.node(node);
  const accounts = [
    'web', 'far', 'done', 'crashed', 'host', 'unborn', 'born', 'leaving', 'left', 'weft-proxy',
  ];
  for (const name of accounts) await cluster.account('shop', name);
  await cluster.account(home, 'other');
  const on = (node: string, account: string) => {
    return { namespace: 'shop', name: `${account}-1`, node, account };
  };
  await cluster.pod({ ...on('node-a', 'web'), address: '10.1.0.1' });
  await cluster.pod({ ...on('node-b', 'far'), address: '10.2.0.1' });
  await cluster.pod({ ...on('node-a', 'done'), phase: 'Succeeded', address: '10.1.0.2' });
  await cluster.pod({ ...on('node-a', 'crashed'), phase: 'Failed', address: '10.1.0.3' });
  await cluster.pod({ ...on('node-a', 'host'), isHostNetwork: true, address: '10.0.0.1' });
  await cluster.pod({ ...on('node-a', 'unborn'), phase: 'Pending' });
  await cluster.pod({ ...on('node-a', 'born'), phase: 'Pending', address: '10.1.0.4' });
  await cluster.pod({ ...on('node-a', 'leaving'), address: '10.1.0.5' });
  await cluster.pod({ ...on('node-a', 'left'), address: '10.1.0.6', isEnded: true });
  for (const name of ['leaving-1', 'left-1']) await cluster.deletePod('shop', name, 3_600);
  // As a kubelet makes a mirror pod: without an account, in any namespace.
  const mirror = { namespace: 'edge', name: 'mirror', node: 'node-a' };
  await cluster.pod({ ...mirror, address: '10.1.0.7' });
  proxyA = await cluster.proxy('node-a');
  const web = { sans: names('shop/web', 'node-a') };
  const lost = await cluster.proxy('node-a', 'proxy-lost');
  early.set('deleted', await cluster.post(lost, web));
  await cluster.deletePod(home, 'proxy-lost', 0);
  const moved = await cluster.proxy('node-a', 'proxy-moved');
  early.set('replaced', await cluster.post(moved, web));
  await cluster.deletePod(home, 'proxy-moved', 0);
  await cluster.proxy('node-a', 'proxy-moved');
  const ended = await cluster.proxy('node-a', 'proxy-ended');
  early.set('ended', await cluster.post(ended, web));
  const path = { group: '', version: 'v1', plural: 'pods', namespace: home, name: 'proxy-ended' };
  const status = { kind: 'merge', body: { status: { phase: 'Failed' } } } as const;
  await cluster.admin.patch(resourcePath({ ...path, subresource: 'status' }), status);
  const bad = { sans: names('shop/far', 'node-a') };
  early.set('approved', await cluster.post(proxyA, bad));
  await cluster.condition(early.get('approved') ?? '', 'Approved');
  early.set('approved-good', await cluster.post(proxyA, web));
  await cluster.condition(early.get('approved-good') ?? '', 'Approved');
  early.set('denied-good', await cluster.post(proxyA, web));
  await cluster.condition(early.get('denied-good') ?? '', 'Denied');
  controllers.push(await cluster.controller(), await cluster.controller());
}, 120_000);

afterAll(async () => {
  await Promise.all(controllers.map((one) => one.stop()));
  await cluster.stop();
  rmSync(scratch, { recursive: true });
});

const spoken = (answer: Answer): string =>
  answer.state === 'issued' ? 'issued' : `${answer.state} ${answer.reason}`;

describe('a proxy', () => {
  test.each(['shop/web', 'shop/born', 'shop/leaving', `${home}/weft-proxy`])(
    'of node A gets %s, which is on its node',
    async (account) => {
      const key = await nodeKeys.makeKey();
      const answer = await cluster.ask(proxyA, { key, sans: names(account, 'node-a') });
      expect(spoken(answer)).toBe('issued');
      const trust = await cluster.trust();
      const pem = answer.state === 'issued' ? answer.pem : '';
      const accepted = acceptIssued(pem, {
        trustDomain: 'cluster.local',
        // Of this table.
        spiffeId: `spiffe://cluster.local/ns/${account.replace('/', '/sa/')}` as SpiffeId,
        node: 'node-a',
        publicKey: key.publicKeySpki,
        roots: readTrustBundle(trust).roots,
        nowMs: Date.now(),
      });
      expect(accepted).toMatchObject({ kind: 'accepted' });
      const [leafFile, rootFile] = [join(scratch, 'leaf.pem'), join(scratch, 'root.pem')];
      writeFileSync(leafFile, pem);
      writeFileSync(rootFile, trust);
      const purpose = ['-x509_strict', '-purpose', 'sslclient', '-CAfile', rootFile];
      expect(openssl('verify', ...purpose, leafFile)).toContain('OK');
    },
  );

  test('is told who approved, and its labels stay', async () => {
    const answer = await cluster.ask(proxyA, { sans: names('shop/web', 'node-a') });
    expect(answer.object).toMatchObject({
      metadata: { labels: { 'weft.dev/proxy-pod': 'test' } },
      status: { conditions: [{ type: 'Approved', status: 'True', reason: 'PodOnNode' }] },
    });
  });

  test('gets a shorter life when it asks for one', async () => {
    const short = { sans: names('shop/web', 'node-a'), expirationSeconds: 600 };
    const answer = await cluster.ask(proxyA, short);
    const file = join(scratch, 'short.pem');
    writeFileSync(file, answer.state === 'issued' ? answer.pem : '');
    expect(openssl('x509', '-in', file, '-noout', '-checkend', '500')).toContain('not expire');
    const later = spawnSync('openssl', ['x509', '-in', file, '-noout', '-checkend', '660']);
    expect(later.status).toBe(1);
  });
});

const uri = (text: string): Wish => ({
  sans: [{ kind: 'uri', uri: text }, { kind: 'dns', name: 'node-a.node.weft.dev' }],
});
const dns = (...texts: readonly string[]): Wish => ({
  sans: [
    { kind: 'uri', uri: 'spiffe://cluster.local/ns/shop/sa/web' },
    ...texts.map((name) => ({ kind: 'dns', name }) as const),
  ],
});
const good = names('shop/web', 'node-a');
const own = 'spiffe://cluster.local/ns/shop/sa/web';

type Row = readonly [attempt: string, wish: Wish | (() => Wish), reason: string | RegExp];

const attempts: readonly Row[] = [
  ['an identity that is on another node only', { sans: names('shop/far', 'node-a') }, 'PodMissing'],
  ['an identity without any pod', { sans: names('shop/nobody', 'node-a') }, 'PodMissing'],
  ['another node’s name', { sans: names('shop/far', 'node-b') }, 'NodeMismatch'],
  ['its own identity on another node', { sans: names(`${home}/weft-proxy`, 'node-b') },
    'NodeMismatch'],
  ['the controller’s identity', { sans: names(`${home}/weft-controller`, 'node-a') }, 'PodMissing'],
  ['the identity of a completed pod', { sans: names('shop/done', 'node-a') }, 'PodNotRunning'],
  ['the identity of a failed pod', { sans: names('shop/crashed', 'node-a') }, 'PodNotRunning'],
  ['the identity of a pod that was deleted and has ended', { sans: names('shop/left', 'node-a') },
    'PodNotRunning'],
  ['the identity of a hostNetwork pod', { sans: names('shop/host', 'node-a') }, 'PodHostNetwork'],
  ['the identity of a pod without address', { sans: names('shop/unborn', 'node-a') },
    'PodWithoutAddress'],
  ['the default account where only a mirror pod is', { sans: names('edge/default', 'node-a') },
    'PodMissing'],
  ['two identities', { sans: [...good, { kind: 'uri', uri: own }] }, 'SpiffeIdCount'],
  ['no identity', { sans: good.slice(1) }, 'SpiffeIdCount'],
  ['a query in the URI', uri(`${own}?x=1`), 'SpiffeIdRefused'],
  ['a fragment in the URI', uri(`${own}#x`), 'SpiffeIdRefused'],
  ['a userinfo in the URI', uri(own.replace('//', '//a@')), 'SpiffeIdRefused'],
  ['a port in the URI', uri(own.replace('.local', '.local:80')), 'SpiffeIdRefused'],
  ['an escape in the URI', uri(own.replace('web', '%77eb')), 'SpiffeIdRefused'],
  ['dot segments in the URI', uri(own.replace('/sa/', '/../shop/sa/')), 'SpiffeIdRefused'],
  ['an upper-case trust domain', uri(own.replace('cluster', 'Cluster')), 'SpiffeIdRefused'],
  ['a foreign trust domain', uri(own.replace('cluster', 'other')), 'TrustDomainForeign'],
  ['two node names', dns('node-a.node.weft.dev', 'node-b.node.weft.dev'), 'NodeNameCount'],
  ['no node name', dns(), 'NodeNameCount'],
  ['a name that is no node’s', dns('web.shop.svc.cluster.local'), 'NodeNameRefused'],
  ['a wildcard for the node', dns('*.node.weft.dev'), 'NodeNameRefused'],
  ['ten years', { sans: good, expirationSeconds: 315_360_000 }, 'DurationRefused'],
  ['one more usage', { sans: good, usages: ['digital signature', 'client auth', 'server auth',
    'key encipherment'] }, 'UsagesRefused'],
  ['the usage of an authority', { sans: good, usages: ['cert sign'] }, 'UsagesRefused'],
  ['a request as long as a book', { sans: Array.from({ length: 200 }, () => good).flat() },
    'RequestTooLarge'],
  ['a subject', () => ({ pem: foreignRequest(p256, '/O=system:masters/CN=admin', goodNames) }),
    'RequestSubjectNotEmpty'],
  ['to be an authority', () => ({ pem: foreignRequest(p256, '/',
    `${goodNames}\nbasicConstraints=critical,CA:true`) }), 'RequestExtensionRefused'],
  ['an address and a mail name', () => ({ pem: foreignRequest(p256, '/',
    `${goodNames},IP:10.0.0.1,email:root@localhost`) }), 'RequestNameRefused'],
  ['an RSA key', () => ({ pem: foreignRequest(
    ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], '/', goodNames) }),
    /Request(KeyRefused|Malformed)/],
  ['another curve', () => ({ pem: foreignRequest(
    ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], '/', goodNames) }),
    'RequestKeyRefused'],
];

describe('a proxy that asks for', () => {
  test.each(attempts)('%s is denied', async (_attempt, wish, reason) => {
    const answer = await cluster.ask(proxyA, typeof wish === 'function' ? wish() : wish);
    expect(answer.state).toBe('Denied');
    expect(spoken(answer)).toMatch(typeof reason === 'string' ? `Denied ${reason}` : reason);
  });

  test('two identities with one key is denied the second', async () => {
    const key = await nodeKeys.makeKey();
    const first = await cluster.ask(proxyA, { key, sans: good });
    const second = await cluster.ask(proxyA, { key, sans: names('shop/born', 'node-a') });
    expect([first, second].map(spoken)).toEqual(['issued', 'Denied KeyReused']);
    expect(spoken(await cluster.ask(proxyA, { key, sans: good }))).toBe('issued');
  });
});

describe('whoever is no proxy of the mesh', () => {
  test('gets nothing: another account, its namesake elsewhere, an administrator', async () => {
    const web = { name: 'web-1', uid: await uidOf('shop', 'web-1') };
    const namesake = { namespace: 'shop', name: 'fake', node: 'node-a', account: 'weft-proxy' };
    const fake = { name: 'fake', uid: await cluster.pod({ ...namesake, address: '10.1.0.9' }) };
    const askers = [
      await cluster.as('shop', 'web', web),
      await cluster.as('shop', 'weft-proxy', fake),
      await cluster.as(home, 'other'),
      await cluster.as(home, 'weft-controller'),
      cluster.admin,
    ];
    for (const asker of askers) {
      const answer = await cluster.ask(asker, { sans: good });
      expect(spoken(answer)).toBe('Denied RequesterNotProxy');
    }
  });

  test('gets nothing with a token of the proxy’s account that is bound to no pod', async () => {
    const unbound = await cluster.as(home, 'weft-proxy');
    expect(spoken(await cluster.ask(unbound, { sans: good }))).toBe('Denied RequesterUnbound');
  });

  test('cannot write the stamps: the API server overwrites them', async () => {
    const name = 'weft-forged';
    const web = { name: 'web-1', uid: await uidOf('shop', 'web-1') };
    const asker = await cluster.as('shop', 'web', web);
    const model = (await cluster.request(await cluster.post(proxyA, { sans: good }))) as {
      readonly spec: object;
    };
    await asker.create(resourcePath(requests), {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name },
      // With username, uid, groups and extra of the proxy.
      spec: model.spec,
    });
    expect(spoken(await cluster.answerTo(name))).toBe('Denied RequesterNotProxy');
  });
});

async function uidOf(namespace: string, name: string): Promise<string> {
  const path = resourcePath({ group: '', version: 'v1', plural: 'pods', namespace, name });
  const pod = (await cluster.admin.get(path)) as { readonly metadata: { readonly uid: string } };
  return pod.metadata.uid;
}

describe('a request from before the controller', () => {
  test.each([
    ['of a pod that was deleted', 'deleted', 'Denied RequesterPodUnknown'],
    ['of a pod whose name has another one now', 'replaced', 'Denied RequesterPodUnknown'],
    ['of a proxy that has ended', 'ended', 'Denied RequesterPodMismatch'],
    ['that somebody else approved, and is bad', 'approved', 'Failed PodMissing'],
    ['that somebody else approved, and is good', 'approved-good', 'issued'],
    ['that somebody else denied, and is good', 'denied-good', 'Denied Somebody'],
  ])('%s', async (_what, which, wanted) => {
    expect(spoken(await cluster.answerTo(early.get(which) ?? ''))).toBe(wanted);
  });

  test('has no certificate where it was denied or failed', async () => {
    for (const which of ['deleted', 'replaced', 'ended', 'approved', 'denied-good']) {
      const object = await cluster.request(early.get(which) ?? '');
      expect(object).not.toHaveProperty('status.certificate');
    }
  });
});

describe('of two controllers', () => {
  const issuedBy = (one: RunningController): number =>
    one.lines.filter(({ message }) => message === 'certificate issued').length;

  test('the leader alone signs, and the other one when it is gone', async () => {
    const [first, second] = controllers;
    if (first === undefined || second === undefined) throw new Error('there are two');
    const leader = first.controller.isLeading() ? first : second;
    const follower = leader === first ? second : first;
    expect(issuedBy(leader)).toBeGreaterThan(5);
    expect(issuedBy(follower)).toBe(0);
    await leader.stop();
    await until('the other one leads', () => follower.controller.isLeading());
    expect(spoken(await cluster.ask(proxyA, { sans: good }))).toBe('issued');
    expect(issuedBy(follower)).toBe(1);
    controllers.splice(controllers.indexOf(leader), 1);
  });

  test('each certificate and each denial is in the log, and no key', async () => {
    const lines = controllers.flatMap((one) => [...one.lines]);
    const issued = lines.find(({ message }) => message === 'certificate issued');
    expect(issued?.fields).toMatchObject({
      identity: own,
      node: 'node-a',
      proxyPod: 'weft-proxy-node-a',
    });
    expect(issued?.fields['serial']).toMatch(/^[4-7][0-9a-f]{31}$/);
    const key = await cluster.text('secrets', 'weft-ca', 'tls.key');
    const secret = key.split('\n')[1] ?? '';
    expect(secret.length).toBeGreaterThan(40);
    expect(JSON.stringify(lines)).not.toContain(secret);
  });
});
