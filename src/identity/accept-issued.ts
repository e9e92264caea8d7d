// What a proxy holds against the answer to its own request: its key, its names, a chain up to a
// root that it trusts. An issuer that answers anything else is broken or hostile, and the proxy
// stays with the certificate that it has.
import { isIssuedBy, issuerFault } from './link.ts';
import { pemOf, readPem } from './pem.ts';
import { readCertificate } from './read-certificate.ts';
import type { ParsedCertificate } from './read-certificate.ts';
import { refused } from './refusal.ts';
import type { Refused } from './refusal.ts';
import type { SpiffeId } from './spiffe.ts';
import type { TrustRoot } from './trust-bundle.ts';
import { verifyPeer } from './verify-peer.ts';
import type { PeerRefusal } from './verify-peer.ts';

/** What was asked for. */
export type AskedCertificate = {
  readonly trustDomain: string;
  readonly spiffeId: SpiffeId;
  readonly node: string;
  /** SubjectPublicKeyInfo of the key that signed the request. */
  readonly publicKey: Uint8Array;
  readonly roots: readonly TrustRoot[];
  readonly nowMs: number;
};

export type IssuedRefusal = PeerRefusal | 'ChainMalformed' | 'ChainUntrusted' | 'KeyMismatch';

/** Leaf and chain as `node:tls` takes them, and when the leaf is good. */
export type AcceptedCertificate = {
  readonly kind: 'accepted';
  readonly pem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Lower-case hex. */
  readonly serial: string;
  /** Fingerprint of the root that the chain ends in: who may drop that root from the bundle. */
  readonly rootFingerprint: string;
};

const chainLimits = { label: 'CERTIFICATE', bytesMax: 65_536, blocksMax: 5 };

/** The certificate in `pem` when it is what was asked for. */
export function acceptIssued(
  pem: string,
  asked: AskedCertificate,
): AcceptedCertificate | Refused<IssuedRefusal> {
  const reading = readPem(pem, chainLimits);
  if (reading.kind === 'refused') return refused('ChainMalformed', reading.message);
  const [leaf = new Uint8Array(0), ...issuers] = reading.blocks;
  const peer = verifyPeer(leaf, {
    trustDomain: asked.trustDomain,
    nodes: new Set([asked.node]),
    identity: asked.spiffeId,
    nowMs: asked.nowMs,
  });
  if (peer.kind === 'refused') return peer;
  const parsed = readCertificate(leaf);
  if (parsed.kind === 'refused') return parsed;
  if (Buffer.compare(parsed.certificate.publicKey, asked.publicKey) !== 0) {
    return refused('KeyMismatch', 'the certificate is for another key');
  }
  const root = rootOf(leaf, issuers, asked);
  if (root.kind === 'refused') return root;
  return {
    kind: 'accepted',
    pem: reading.blocks.map((der) => pemOf(der, 'CERTIFICATE')).join(''),
    notBeforeMs: peer.notBeforeMs,
    notAfterMs: peer.notAfterMs,
    serial: peer.serial,
    rootFingerprint: root.root.fingerprint,
  };
}

function rootOf(
  leaf: Uint8Array,
  issuers: readonly Uint8Array[],
  { roots, nowMs }: AskedCertificate,
): { readonly kind: 'root'; readonly root: TrustRoot } | Refused<IssuedRefusal> {
  let last = leaf;
  for (const [index, issuer] of issuers.entries()) {
    const who = `certificate ${index + 2} of the chain`;
    const reading = readCertificate(issuer);
    if (reading.kind === 'refused') return refused('ChainMalformed', `${who}: ${reading.message}`);
    const fault = issuerFault(reading.certificate) ?? dateFault(reading.certificate, nowMs);
    if (fault !== undefined) return refused('ChainUntrusted', `${who}: ${fault}`);
    if (!isIssuedBy(last, issuer)) {
      return refused('ChainUntrusted', `${who} has not issued the one before it`);
    }
    last = issuer;
  }
  const valid = roots.filter((one) => dateFault(one, nowMs) === undefined);
  const root = valid.find((one) => isIssuedBy(last, one.der));
  return root === undefined
    ? refused('ChainUntrusted', 'no valid root of the trust bundle has issued it')
    : { kind: 'root', root };
}

function dateFault(
  { notBeforeMs, notAfterMs }: Pick<ParsedCertificate, 'notBeforeMs' | 'notAfterMs'>,
  nowMs: number,
): string | undefined {
  return nowMs < notBeforeMs || nowMs > notAfterMs ? 'it is not valid now' : undefined;
}
