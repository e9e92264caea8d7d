// The judgement of a peer's certificate on top of OpenSSL's.
import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { createCertificate } from './certificate.ts';
import { formatSpiffeId } from './spiffe.ts';
import { verifyPeer } from './verify-peer.ts';

test('a leaf of ours is accepted', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const nowMs = Date.UTC(2026, 5, 1);
  const uri = 'spiffe://cluster.local/ns/shop/sa/web';
  const der = createCertificate({
    sans: [
      { kind: 'uri', uri },
      { kind: 'dns', name: 'node-1.node.weft.dev' },
    ],
    isCa: false,
    serial: Uint8Array.from({ length: 16 }, (_one, index) => index + 1),
    notBeforeMs: nowMs - 300_000,
    notAfterMs: nowMs + 86_400_000,
    publicKey: spki,
    issuer: { subject: 'root', publicKey: spki },
    sign: (bytes) => sign('sha256', bytes, privateKey),
  });
  const rules = { trustDomain: 'cluster.local', nodes: new Set(['node-1']), nowMs };
  expect(verifyPeer(der, { ...rules, identity: 'any' })).toEqual({
    kind: 'peer',
    trustDomain: 'cluster.local',
    namespace: 'shop',
    serviceAccount: 'web',
    spiffeId: formatSpiffeId({
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'web',
    }),
    node: 'node-1',
    notBeforeMs: nowMs - 300_000,
    notAfterMs: nowMs + 86_400_000,
    serial: '0102030405060708090a0b0c0d0e0f10',
  });
});
