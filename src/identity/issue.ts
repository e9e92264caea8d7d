// What the issuer makes: leaves of workloads, and the root of a mesh that brings none. The issuer
// decides everything but the key and the names of a leaf; keys, serials and times are the caller's.
import { assert } from '../lib/assert.ts';
import { createCertificate } from './certificate.ts';
import type { Authority } from './authority.ts';
import type { LeafTemplate } from './judge-request.ts';
import { pemOf } from './pem.ts';
import { readCertificate } from './read-certificate.ts';
import { refused } from './refusal.ts';
import type { Refused } from './refusal.ts';
import { workloadNames } from './request.ts';
import { serialText } from './serial.ts';

/** ECDSA with SHA-256 of `bytes`, as DER: `crypto.sign('sha256', bytes, issuerPrivateKey)`. */
export type Sign = (bytes: Uint8Array) => Uint8Array;

export type LeafOptions = {
  readonly leaf: LeafTemplate;
  readonly authority: Authority;
  /** 16 random bytes. */
  readonly serial: Uint8Array;
  readonly nowMs: number;
  readonly sign: Sign;
};

export type IssuedLeaf = {
  readonly kind: 'issued';
  /** The leaf, then the issuers that peers need besides the root: `status.certificate`. */
  readonly pem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Lower-case hex, as `verifyPeer` and openssl write it. */
  readonly serial: string;
};

export type RootOptions = {
  readonly trustDomain: string;
  readonly publicKey: Uint8Array;
  /** 16 random bytes. */
  readonly serial: Uint8Array;
  readonly nowMs: number;
  readonly sign: Sign;
};

/** For clocks that are behind the issuer's; OpenSSL has no tolerance. */
const backdatedMs = 5 * 60_000;
/** A root is checked by every clock of the cluster from its first second on. */
const rootBackdatedMs = 3_600_000;
/** Ten years of 365 days: a root is replaced by rotation, not by expiry. */
const rootLifetimeMs = 10 * 365 * 86_400_000;
/** RFC 5280 allows 64 characters; `weft `, a space and 8 of the serial are taken. */
const rootNameMax = 50;

/** A leaf for `leaf`, never valid longer than its issuers. */
export function issueLeaf(options: LeafOptions): IssuedLeaf | Refused<'AuthorityExpired'> {
  const { leaf, authority, nowMs } = options;
  const notBeforeMs = nowMs - backdatedMs;
  const notAfterMs = Math.min(nowMs + leaf.lifetimeMs, authority.notAfterMs);
  if (notAfterMs <= nowMs) {
    return refused('AuthorityExpired', 'the issuer’s certificate has expired; rotate it');
  }
  const der = createCertificate({
    sans: workloadNames(leaf.spiffeId, leaf.node),
    isCa: false,
    serial: options.serial,
    notBeforeMs,
    notAfterMs,
    publicKey: leaf.publicKey,
    issuer: { name: authority.name, keyId: authority.keyId },
    sign: options.sign,
  });
  const pem = `${pemOf(der, 'CERTIFICATE')}${authority.chainPem}`;
  return { kind: 'issued', pem, notBeforeMs, notAfterMs, serial: serialOf(der) };
}

/**
 * PEM of a root of our own. It issues leaves only (path length 0), carries the trust domain as its
 * SPIFFE id (X.509-SVID §4.2), and has a subject of its own, so that an old and a new root can
 * stand side by side in a bundle.
 */
export function makeRoot(options: RootOptions): string {
  const { trustDomain, publicKey, serial, nowMs, sign } = options;
  const mark = Buffer.from(serial.subarray(0, 4)).toString('hex');
  const der = createCertificate({
    subject: `weft ${trustDomain.slice(0, rootNameMax)} ${mark}`,
    sans: [{ kind: 'uri', uri: `spiffe://${trustDomain}` }],
    isCa: true,
    pathLength: 0,
    serial,
    notBeforeMs: nowMs - rootBackdatedMs,
    notAfterMs: nowMs + rootLifetimeMs,
    publicKey,
    sign,
  });
  return pemOf(der, 'CERTIFICATE');
}

/** From the certificate itself: the audit line tells what was made, not what was meant. */
function serialOf(der: Uint8Array): string {
  const reading = readCertificate(der);
  assert(reading.kind === 'certificate', 'our own certificate is not strict DER');
  return serialText(reading.certificate.serial);
}
