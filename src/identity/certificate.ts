// X.509 v3 certificates for P-256 keys, signed with ECDSA and SHA-256 (RFC 5280, RFC 5480). The
// issuer alone decides every extension; there is no way to pass one in. Keys, signing, serials
// and times are the caller's: this file only lays out bytes, so the same input gives the same
// bytes (but for the signature, which ECDSA draws at random).
import { assert } from '../lib/assert.ts';
import {
  bits,
  boolean,
  encodeDer,
  explicit,
  fromDer,
  implicit,
  integer,
  objectId,
  octets,
  sequence,
  setOf,
  time,
  utf8,
} from './der.ts';
import type { DerValue } from './der.ts';
import { oids } from './oids.ts';
import { keyIdOf } from './p256-key.ts';
import { extension, generalName, subjectPublicKey } from './write-extension.ts';
import type { SubjectAltName } from './write-extension.ts';

export type CertificateTemplate = {
  /** Common name. Absent: an empty subject, and the SANs become critical. */
  readonly subject?: string;
  readonly sans: readonly SubjectAltName[];
  readonly isCa: boolean;
  /** Of an authority: how many authorities may stand between it and a leaf. Absent: any number. */
  readonly pathLength?: number;
  /** 8 to 20 random bytes, big-endian; the first bit is cleared, zero is refused. */
  readonly serial: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo of a P-256 key: `key.export({ type: 'spki', format: 'der' })`. */
  readonly publicKey: Uint8Array;
  /** Absent: the certificate issues itself. */
  readonly issuer?: CertificateIssuer | IssuerName;
  /** ECDSA with SHA-256 of `bytes`, as DER: `crypto.sign('sha256', bytes, issuerPrivateKey)`. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
};

/** What of an issuer's certificate stands in those that it issues. */
export type CertificateIssuer = {
  readonly subject: string;
  /** SubjectPublicKeyInfo of the issuer. */
  readonly publicKey: Uint8Array;
};

/** The same for an issuer that others have made: its subject may have any form, its key id too. */
export type IssuerName = {
  /** DER of the subject in the issuer's certificate. */
  readonly name: Uint8Array;
  /** Subject key id in the issuer's certificate. */
  readonly keyId: Uint8Array;
};

/** RFC 5280 Appendix A.1: ub-common-name. */
const commonNameMax = 64;

/** The DER of a certificate. Input that only a bug can produce (a wrong curve) asserts. */
export function createCertificate(template: CertificateTemplate): Uint8Array {
  const algorithm = sequence(objectId(oids.ecdsaWithSha256));
  const subject = commonName(template.subject);
  const issuer = template.issuer;
  assert(issuer !== undefined || template.subject !== undefined, 'a root needs a subject');
  const body = sequence(
    explicit(0, integer(Uint8Array.of(2))),
    integer(positiveSerial(template.serial)),
    algorithm,
    issuer === undefined ? subject : issuerName(issuer),
    sequence(time(template.notBeforeMs), time(template.notAfterMs)),
    subject,
    subjectPublicKey(template.publicKey),
    explicit(3, sequence(...extensions(template))),
  );
  const signature = template.sign(encodeDer(body));
  return encodeDer(sequence(body, algorithm, bits(signature, 0)));
}

/** Exactly these extensions: BC, KU, EKU (leaves), SKI, AKI (unless self-issued), SAN (if any). */
function extensions(template: CertificateTemplate): DerValue[] {
  const list = [
    extension(oids.basicConstraints, basicConstraints(template), true),
    // keyCertSign | cRLSign (bits 5, 6) for a CA; digitalSignature (bit 0) for a leaf.
    template.isCa
      ? extension(oids.keyUsage, bits(Uint8Array.of(0x06), 1), true)
      : extension(oids.keyUsage, bits(Uint8Array.of(0x80), 7), true),
  ];
  if (!template.isCa) {
    const usages = sequence(objectId(oids.serverAuth), objectId(oids.clientAuth));
    list.push(extension(oids.extendedKeyUsage, usages, false));
  }
  list.push(extension(oids.subjectKeyId, octets(keyIdOf(template.publicKey)), false));
  if (template.issuer !== undefined) {
    const { issuer } = template;
    const id = 'name' in issuer ? issuer.keyId : keyIdOf(issuer.publicKey);
    const authority = sequence(implicit(0, id));
    list.push(extension(oids.authorityKeyId, authority, false));
  }
  if (template.sans.length > 0) {
    const names = sequence(...template.sans.map(generalName));
    list.push(extension(oids.subjectAltName, names, template.subject === undefined));
  }
  return list;
}

function basicConstraints({ isCa, pathLength }: CertificateTemplate): DerValue {
  if (!isCa) return sequence();
  if (pathLength === undefined) return sequence(boolean(true));
  assert(pathLength >= 0 && pathLength < 128, 'a path length has one byte');
  return sequence(boolean(true), integer(Uint8Array.of(pathLength)));
}

function issuerName(issuer: CertificateIssuer | IssuerName): DerValue {
  return 'name' in issuer ? fromDer(issuer.name) : commonName(issuer.subject);
}

function commonName(text: string | undefined): DerValue {
  if (text === undefined) return sequence();
  assert(text.length > 0 && text.length <= commonNameMax, 'common name has 1 to 64 characters');
  return sequence(setOf(sequence(objectId(oids.commonName), utf8(text))));
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes. */
function positiveSerial(serial: Uint8Array): Uint8Array {
  assert(serial.length >= 8 && serial.length <= 20, 'a serial has 8 to 20 bytes');
  const copy = Uint8Array.from(serial);
  copy[0] = (copy[0] ?? 0) & 0x7f;
  assert(copy.some((byte) => byte !== 0), 'a serial is not zero');
  return copy;
}
