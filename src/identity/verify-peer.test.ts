// What a good certificate proves, and that no change to its bytes makes it prove anything else.
// The bad ones have a table of their own: bad-certificates.test.ts.
import { describe, expect, test } from 'vitest';
import {
  commonName,
  craft,
  extension,
  extensions,
  goodParts,
  isCa,
  keyIdOf,
  keyPair,
  tlv,
  utcTime,
} from '../../test/support/crafted-certificates.ts';
import { seededRandom } from '../lib/random.ts';
import { isIssuedBy } from './link.ts';
import { readCertificate } from './read-certificate.ts';
import { verifyPeer } from './verify-peer.ts';
import type { PeerRules } from './verify-peer.ts';

const nowMs = Date.UTC(2026, 5, 1);
const authority = { name: commonName('weft test root'), key: keyPair() };
const leafKey = keyPair();
const good = goodParts(authority, leafKey, nowMs);
const leaf = craft({ ...good, serial: tlv(0x02, Buffer.of(0, 0xab, 1)) });
const root = craft({
  ...good,
  subject: authority.name,
  notAfter: utcTime(nowMs + 3650 * 86_400_000),
  publicKey: authority.key.publicKey,
  basic: extensions.basic(isCa),
  keyUsage: extensions.keyUsage([1, 0x06]),
  extendedKeyUsage: Buffer.alloc(0),
  names: Buffer.alloc(0),
  more: extension('2.5.29.14', tlv(0x04, keyIdOf(authority.key.publicKey))),
});
const rules: PeerRules = {
  trustDomain: 'cluster.local',
  nodes: new Set(['node-1', 'node-2', 'node-3']),
  identity: 'any',
  nowMs,
};

/** The whole judgement, as a tunnel makes it: signature and rules. */
function isAccepted(der: Uint8Array): boolean {
  return verifyPeer(der, rules).kind === 'peer' && isIssuedBy(der, root);
}

describe('verifyPeer', () => {
  test('says who, where, until when and under which serial', () => {
    expect(isAccepted(leaf)).toBe(true);
    expect(verifyPeer(leaf, rules)).toEqual({
      kind: 'peer',
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'web',
      spiffeId: 'spiffe://cluster.local/ns/shop/sa/web',
      node: 'node-1',
      notBeforeMs: nowMs - 300_000,
      notAfterMs: nowMs + 86_400_000,
      serial: 'ab01',
    });
  });

  test('takes no certificate in which one bit has changed, whichever byte it is in', () => {
    const random = seededRandom(8);
    for (let at = 0; at < leaf.length; at += 1) {
      const der = Buffer.from(leaf);
      der[at] = (der[at] ?? 0) ^ (1 << Math.floor(random() * 8));
      expect(isAccepted(der), `byte ${at}`).toBe(false);
    }
  });

  test('takes no certificate in which some bytes have changed', () => {
    const random = seededRandom(20_261_121);
    for (let round = 0; round < 1_000; round += 1) {
      const der = Buffer.from(leaf);
      for (let change = 0; change <= random() * 4; change += 1) {
        der[Math.floor(random() * der.length)] = Math.floor(random() * 256);
      }
      if (Buffer.compare(der, leaf) !== 0) expect(isAccepted(der), `round ${round}`).toBe(false);
    }
  });

  test('takes no certificate in which a name was replaced', () => {
    const text = leaf.toString('latin1');
    for (const name of ['wec', 'ueb']) {
      const der = Buffer.from(text.replace('sa/web', `sa/${name}`), 'latin1');
      // Our rules alone have nothing against it: it is the signature that holds the name.
      expect(verifyPeer(der, rules).kind).toBe('peer');
      expect(isAccepted(der)).toBe(false);
    }
  });
});

describe('readCertificate', () => {
  test('refuses a certificate that is cut short, wherever', () => {
    for (let length = 0; length < leaf.length; length += 1) {
      expect(readCertificate(leaf.subarray(0, length)).kind, `${length} bytes`).toBe('refused');
    }
  });

  test('never throws, whatever the bytes', () => {
    const random = seededRandom(5280);
    for (let round = 0; round < 5_000; round += 1) {
      const der = Buffer.from(round % 2 === 0 ? leaf : root);
      const start = Math.floor(random() * der.length);
      const length = Math.floor(random() * 20);
      for (let at = start; at < Math.min(der.length, start + length); at += 1) {
        der[at] = Math.floor(random() * 256);
      }
      const bytes = random() < 0.2 ? der.subarray(start) : der;
      expect(['certificate', 'refused']).toContain(readCertificate(bytes).kind);
    }
  });
});
