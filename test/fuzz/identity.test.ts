// Hostile bytes for every reader of identity: nothing throws, and what is taken is what was signed.
// One seed each; a failure prints the bytes.
import { sign } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  createCertificateRequest,
  judgeRequest,
  makeRoot,
  requestUsages,
  workloadNames,
  workloadSigner,
} from '../../src/identity/control.ts';
import { formatSpiffeId, parseSpiffeId, readTrustBundle } from '../../src/identity/index.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { keyPair, pem } from '../support/crafted-certificates.ts';

const key = keyPair();
const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
const spiffeId = formatSpiffeId(identity);
const signed = (bytes: Uint8Array) => sign('sha256', bytes, key.privateKey);

/** The bytes of a PEM block with some of them replaced, removed or doubled. */
function bent(text: string, random: () => number): Buffer {
  const body = text.split('\n').filter((line) => !line.startsWith('-----')).join('');
  const bytes = Buffer.from(body, 'base64');
  const at = Math.floor(random() * bytes.length);
  const length = Math.floor(random() * 8);
  const kind = random();
  if (kind < 0.2) return bytes.subarray(0, at);
  if (kind < 0.3) return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
  for (let index = at; index < Math.min(bytes.length, at + length); index += 1) {
    bytes[index] = random() < 0.3 ? (bytes[index] ?? 0) ^ 1 : Math.floor(random() * 256);
  }
  return bytes;
}

test('a bent request is never signed for anything but what its key has signed (seed 15)', () => {
  if (spiffeId === undefined) throw new Error('no id');
  const sans = workloadNames(spiffeId, 'node-1');
  const good = createCertificateRequest({ publicKey: key.publicKey, sans, sign: signed });
  const random = seededRandom(15);
  const proxyPod = {
    meta: { namespace: 'weft-system', name: 'p', uid: 'u' },
    nodeName: 'node-1',
    serviceAccount: 'weft-proxy',
    phase: 'Running' as const,
    isHostNetwork: false,
    isDeleting: false,
    hasRunningContainer: true,
    addresses: ['10.0.0.1'],
  };
  const pod = { ...proxyPod, meta: { ...proxyPod.meta, namespace: 'shop' }, serviceAccount: 'web' };
  const view = {
    isLive: true,
    podNamed: () => proxyPod,
    podsOn: () => [pod],
    keyOwners: new Map<string, string>(),
  };
  const rules = { trustDomain: 'cluster.local', meshNamespace: 'weft-system' };
  const reasons = new Set<string>();
  for (let round = 0; round < 4_000; round += 1) {
    const der = bent(good, random);
    const requestPem = round === 0 ? good : pem(der, 'CERTIFICATE REQUEST');
    const judgement = judgeRequest(
      {
        signerName: workloadSigner,
        username: 'system:serviceaccount:weft-system:weft-proxy',
        groups: ['system:serviceaccounts:weft-system'],
        extra: new Map([
          ['authentication.kubernetes.io/pod-name', ['p']],
          ['authentication.kubernetes.io/pod-uid', ['u']],
        ]),
        usages: requestUsages,
        expirationSeconds: 600,
        requestPem,
      },
      view,
      { ...rules, proxyServiceAccount: 'weft-proxy' },
    );
    if (judgement.kind === 'sign') expect(requestPem, `round ${round}`).toBe(good);
    reasons.add(judgement.kind === 'deny' ? judgement.reason : judgement.kind);
  }
  expect([...reasons].sort()).toEqual([
    'RequestKeyRefused',
    'RequestMalformed',
    'RequestSignatureInvalid',
    'sign',
  ]);
});

test('a bent bundle gives only roots that stand in it (seed 16)', () => {
  const options = { trustDomain: 'cluster.local', publicKey: key.publicKey, sign: signed };
  const serial = new Uint8Array(16).fill(7);
  const good = makeRoot({ ...options, serial, nowMs: Date.UTC(2026, 0, 1) });
  const random = seededRandom(16);
  for (let round = 0; round < 500; round += 1) {
    const text = good + pem(bent(good, random));
    const { roots } = readTrustBundle(text);
    expect(roots.every((root) => root.pem === good), text).toBe(true);
  }
});

test('bent text is no PEM, or the same (seed 17)', () => {
  const options = { trustDomain: 'cluster.local', publicKey: key.publicKey, sign: signed };
  const serial = new Uint8Array(16).fill(7);
  const good = makeRoot({ ...options, serial, nowMs: Date.UTC(2026, 0, 1) });
  const random = seededRandom(17);
  for (let round = 0; round < 1_000; round += 1) {
    const at = Math.floor(random() * good.length);
    const cut = Math.floor(random() * 3);
    const letters = String.fromCharCode(...Array.from({ length: cut }, () => random() * 300));
    const text = good.slice(0, at) + letters + good.slice(at + Math.floor(random() * 3));
    const { roots } = readTrustBundle(text);
    expect(roots.every((root) => root.pem === good), JSON.stringify(text)).toBe(true);
  }
});

test('an id that is read is written back the same (seed 18)', () => {
  const random = seededRandom(18);
  const alphabet = 'spiffe://cluster.local/ns/sa/web-._%A:?#@\n';
  let readCount = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const letters = [...'spiffe://cluster.local/ns/shop/sa/web'];
    for (let change = 0; change < random() * 3; change += 1) {
      const at = Math.floor(random() * letters.length);
      letters[at] = alphabet[Math.floor(random() * alphabet.length)] ?? '';
    }
    const text = letters.join('');
    const read = parseSpiffeId(text);
    if (read === undefined) continue;
    readCount += 1;
    expect(formatSpiffeId(read)).toBe(text);
    expect(text).toMatch(/^spiffe:\/\/[a-z0-9._-]+\/ns\/[a-z0-9-]+\/sa\/[a-z0-9.-]+$/);
  }
  expect(readCount).toBeGreaterThan(1_000);
});
