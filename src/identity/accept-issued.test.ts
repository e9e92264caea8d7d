// What a proxy does not take from its issuer, though openssl would: other keys, other names, chains
// that end elsewhere.
import { sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  commonName,
  craft,
  dns,
  extension,
  extensions,
  goodNode,
  goodParts,
  goodUri,
  isCa,
  keyIdOf,
  keyPair,
  pem,
  tlv,
  uri,
  utcTime,
  type Crafted,
  type Issuer,
} from '../../test/support/crafted-certificates.ts';
import { acceptIssued } from './accept-issued.ts';
import type { AskedCertificate, IssuedRefusal } from './accept-issued.ts';
import { makeRoot } from './issue.ts';
import type { SpiffeId } from './spiffe.ts';
import { readTrustBundle } from './trust-bundle.ts';

const nowMs = Date.UTC(2026, 5, 1);
const dayMs = 86_400_000;
const root: Issuer = { name: commonName('root'), key: keyPair() };
const issuer: Issuer = { name: commonName('issuer'), key: keyPair() };
const leafKey = keyPair();
const none = Buffer.alloc(0);

function authority(of: Issuer, by: Issuer, changes: Partial<Crafted> = {}): string {
  return pem(
    craft({
      ...goodParts(by, of.key, nowMs),
      subject: of.name,
      notAfter: utcTime(nowMs + 30 * dayMs),
      basic: extensions.basic(isCa),
      keyUsage: extensions.keyUsage([1, 0x06]),
      extendedKeyUsage: none,
      names: none,
      more: extension('2.5.29.14', tlv(0x04, keyIdOf(of.key.publicKey))),
      ...changes,
    }),
  );
}

function leaf(by: Issuer, changes: Partial<Crafted> = {}): string {
  return pem(craft({ ...goodParts(by, leafKey, nowMs), ...changes }));
}

const rootPem = authority(root, root);
const issuerPem = authority(issuer, root);
const otherKey = keyPair();
const other: Issuer = { name: root.name, key: otherKey };
const asked: AskedCertificate = {
  trustDomain: 'cluster.local',
  spiffeId: 'spiffe://cluster.local/ns/shop/sa/web' as SpiffeId,
  node: 'node-1',
  publicKey: leafKey.publicKey,
  roots: readTrustBundle(rootPem).roots,
  nowMs,
};

describe('acceptIssued', () => {
  test.each([
    ['a leaf of the root', leaf(root)],
    ['a leaf of an intermediate', leaf(issuer) + issuerPem],
    ['a chain with its root', leaf(issuer) + issuerPem + rootPem],
  ])('takes %s', (_what, text) => {
    expect(acceptIssued(text, asked)).toMatchObject({
      kind: 'accepted',
      pem: text,
      notBeforeMs: nowMs - 300_000,
      notAfterMs: nowMs + dayMs,
      rootFingerprint: asked.roots[0]?.fingerprint,
    });
  });

  test('finds the root among several of the same name', () => {
    const roots = readTrustBundle(authority(other, other) + rootPem).roots;
    expect(acceptIssued(leaf(root), { ...asked, roots })).toMatchObject({
      rootFingerprint: roots[1]?.fingerprint,
    });
  });

  const admin = uri('spiffe://cluster.local/ns/shop/sa/admin');
  const expired = { notAfter: utcTime(nowMs - 1_000) };
  test.each<readonly [what: string, reason: IssuedRefusal, text: string]>([
    ['nothing', 'ChainMalformed', ''],
    ['six certificates', 'ChainMalformed', leaf(root) + rootPem.repeat(5)],
    ['text around it', 'ChainMalformed', `issued!\n${leaf(root)}`],
    ['an issuer that is none', 'ChainMalformed', leaf(root) + pem(tlv(0x30))],
    ['the key of another', 'KeyMismatch', leaf(root, { publicKey: otherKey.publicKey })],
    [
      'another identity',
      'IdentityMismatch',
      leaf(root, { names: extensions.names([admin, goodNode]) }),
    ],
    [
      'another node',
      'NodeMismatch',
      leaf(root, { names: extensions.names([goodUri, dns('node-2.node.weft.dev')]) }),
    ],
    [
      'one name more',
      'SpiffeIdCount',
      leaf(root, { names: extensions.names([goodUri, admin, goodNode]) }),
    ],
    ['the CA flag', 'IsAuthority', leaf(root, { basic: extensions.basic(isCa) })],
    ['an end that is past', 'Expired', leaf(root, expired)],
    ['a leaf of a foreign root', 'ChainUntrusted', leaf(other)],
    ['a foreign root in the chain', 'ChainUntrusted', leaf(other) + authority(other, other)],
    ['another name of the issuer', 'ChainUntrusted', leaf(root, { issuer: issuer.name })],
    ['no intermediate', 'ChainUntrusted', leaf(issuer)],
    ['the chain upside down', 'ChainUntrusted', leaf(issuer) + rootPem + issuerPem],
    [
      'an intermediate whose end is past',
      'ChainUntrusted',
      leaf(issuer) + authority(issuer, root, expired),
    ],
    [
      'an intermediate that is none',
      'ChainUntrusted',
      leaf(issuer) + authority(issuer, root, { basic: extensions.basic() }),
    ],
    [
      'an intermediate that may not sign',
      'ChainUntrusted',
      leaf(issuer) + authority(issuer, root, { keyUsage: extensions.keyUsage() }),
    ],
  ])('refuses %s: %s', (_what, reason, text) => {
    expect(acceptIssued(text, asked)).toMatchObject({ kind: 'refused', reason });
  });

  test.each([
    ['whose end is past', readTrustBundle(authority(root, root, expired)).roots],
    ['that is gone', []],
  ])('refuses a leaf of a root %s', (_what, roots) => {
    expect(acceptIssued(leaf(root), { ...asked, roots })).toMatchObject({
      reason: 'ChainUntrusted',
    });
  });

  test('refuses a leaf that only names its root', () => {
    // Same subject and key id as the root, another key: only the signature tells.
    const forged = craft({ ...goodParts(root, leafKey, nowMs), signer: otherKey.privateKey });
    expect(acceptIssued(pem(forged), asked)).toMatchObject({ reason: 'ChainUntrusted' });
    const sameName = makeRoot({
      trustDomain: 'cluster.local',
      publicKey: otherKey.publicKey,
      serial: new Uint8Array(16).fill(9),
      nowMs,
      sign: (bytes) => sign('sha256', bytes, otherKey.privateKey),
    });
    const { roots } = readTrustBundle(sameName);
    expect(acceptIssued(leaf(root), { ...asked, roots })).toMatchObject({
      reason: 'ChainUntrusted',
    });
  });
});
