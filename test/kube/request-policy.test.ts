// ValidatingAdmissionPolicy weft-requests on a real API server: only proxies of the mesh ask our
// signer, they ask no other, and nobody else's requests are looked at.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resourcePath, type Connection } from '../../src/kube/index.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import { createCertificateRequest } from '../../src/identity/control.ts';
import { home, IdentityCluster, names, requests } from './support/identity-cluster.ts';
import { installedObjects } from './support/installed.ts';
import { until } from './support/until.ts';

const ours = 'weft.dev/workload';
const client = 'kubernetes.io/kube-apiserver-client';
let cluster: IdentityCluster;
let request = '';
const askers = new Map<string, Connection>();

/** `taken`, or what the API server says. */
async function ask(who: string, signerName: string, metadata: object = {}): Promise<string> {
  const from = askers.get(who) ?? cluster.admin;
  try {
    await from.create(
      resourcePath(requests),
      {
        apiVersion: 'certificates.k8s.io/v1',
        kind: 'CertificateSigningRequest',
        metadata: { generateName: 'try-', ...metadata },
        spec: { signerName, usages: ['digital signature', 'client auth'], request },
      },
      { dryRun: 'All' },
    );
    return 'taken';
  } catch (error) {
    return String(error);
  }
}

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  await cluster.node('node-a');
  const key = await nodeKeys.makeKey();
  const sans = names('shop/web', 'node-a');
  const pem = createCertificateRequest({ publicKey: key.publicKeySpki, sans, sign: key.sign });
  request = Buffer.from(pem).toString('base64');
  for (const name of ['web', 'weft-proxy']) await cluster.account('shop', name);
  askers.set('proxy', await cluster.proxy('node-a'));
  askers.set('web', await cluster.as('shop', 'web'));
  askers.set('namesake', await cluster.as('shop', 'weft-proxy'));
  askers.set('controller', await cluster.as(home, 'weft-controller'));
  expect(await ask('web', ours)).toBe('taken');
  const group = 'admissionregistration.k8s.io';
  for (const object of installedObjects()) {
    if (object.metadata.name !== 'weft-requests') continue;
    const plural =
      object.kind === 'ValidatingAdmissionPolicy'
        ? 'validatingadmissionpolicies'
        : 'validatingadmissionpolicybindings';
    await cluster.admin.create(resourcePath({ group, version: 'v1', plural }), object);
  }
  await until('the policy is in force', async () => (await ask('web', ours)) !== 'taken');
}, 120_000);

afterAll(() => cluster.stop());

test.each(['web', 'namesake', 'controller', 'admin'])('%s may not ask our signer', async (who) => {
  expect(await ask(who, ours)).toContain(
    'signer weft.dev/workload is asked by ServiceAccount weft-proxy of the mesh alone',
  );
});

test('a proxy may ask our signer and no other', async () => {
  expect(await ask('proxy', ours)).toBe('taken');
  for (const other of [client, 'example.org/any', 'weft.dev/other']) {
    expect(await ask('proxy', other)).toContain('asks signer weft.dev/workload and no other');
  }
});

test.each(['web', 'namesake', 'admin'])('%s asks other signers as before', async (who) => {
  expect(await ask(who, 'example.org/any')).toBe('taken');
});

test.each([
  ['a finalizer', { finalizers: ['example.org/stay'] }],
  ['a long annotation', { annotations: { long: 'x'.repeat(2_000) } }],
  ['many annotations', { annotations: fields(17) }],
  ['many labels', { labels: fields(17) }],
])('a proxy may not ask with %s', async (_what, metadata) => {
  expect(await ask('proxy', ours, metadata)).toContain('16 short annotations, and no finalizer');
});

test('a proxy may not ask with a request as long as a book', async () => {
  const short = request;
  const key = await nodeKeys.makeKey();
  const sans = Array.from({ length: 200 }, () => names('shop/web', 'node-a')).flat();
  const pem = createCertificateRequest({ publicKey: key.publicKeySpki, sans, sign: key.sign });
  request = Buffer.from(pem).toString('base64');
  expect(await ask('proxy', ours)).toContain('a request of weft.dev/workload has 8 KiB');
  request = short;
  const annotations = { 'weft.dev/identity': 'spiffe://x', 'weft.dev/node': 'node-a' };
  expect(await ask('proxy', ours, { annotations, labels: fields(3) })).toBe('taken');
});

function fields(count: number): Readonly<Record<string, string>> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`name-${at}`, 'x']));
}
