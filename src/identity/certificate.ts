// X.509 v3 certificates for P-256 keys, signed with ECDSA and SHA-256 (RFC 5280, RFC 5480). The
// issuer alone decides every extension; there is no way to pass one in. Keys, signing, serials
// and times are the caller's: this file only lays out bytes, so the same input gives the same
// bytes (but for the signature, which ECDSA draws at random).
import { createHash } from 'node:crypto';
import { assert, assertNever } from '../lib/assert.ts';
import { addressBytes } from './address-bytes.ts';
import {
  bits,
  boolean,
  encodeDer,
  explicit,
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

export type SubjectAltName =
  | { readonly kind: 'dns'; readonly name: string }
  | { readonly kind: 'ip'; readonly address: string }
  | { readonly kind: 'uri'; readonly uri: string };

export type CertificateTemplate = {
  /** Common name. Absent: an empty subject, and the SANs become critical. */
  readonly subject?: string;
  readonly sans: readonly SubjectAltName[];
  readonly isCa: boolean;
  /** 8 to 20 random bytes, big-endian; the first bit is cleared, zero is refused. */
  readonly serial: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo of a P-256 key: `key.export({ type: 'spki', format: 'der' })`. */
  readonly publicKey: Uint8Array;
  /** Absent: the certificate issues itself. */
  readonly issuer?: CertificateIssuer;
  /** ECDSA with SHA-256 of `bytes`, as DER: `crypto.sign('sha256', bytes, issuerPrivateKey)`. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
};

/** What of an issuer's certificate stands in those that it issues. */
export type CertificateIssuer = {
  readonly subject: string;
  /** SubjectPublicKeyInfo of the issuer. */
  readonly publicKey: Uint8Array;
};

const oids = {
  ecPublicKey: '1.2.840.10045.2.1',
  p256: '1.2.840.10045.3.1.7',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** Everything of a P-256 SubjectPublicKeyInfo before the point; the point is 0x04, X, Y. */
const spkiPrefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
const pointBytes = 65;

/** RFC 5280 Appendix A.1: ub-common-name. */
const commonNameMax = 64;

/** The point of a P-256 key in SubjectPublicKeyInfo form; `undefined` for any other key. */
export function p256Point(publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== spkiPrefix.length + pointBytes) return undefined;
  if (!spkiPrefix.equals(publicKey.subarray(0, spkiPrefix.length))) return undefined;
  return publicKey[spkiPrefix.length] === 4 ? publicKey.subarray(spkiPrefix.length) : undefined;
}

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
    issuer === undefined ? subject : commonName(issuer.subject),
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
    extension(oids.basicConstraints, template.isCa ? sequence(boolean(true)) : sequence(), true),
    // keyCertSign | cRLSign (bits 5, 6) for a CA; digitalSignature (bit 0) for a leaf.
    template.isCa
      ? extension(oids.keyUsage, bits(Uint8Array.of(0x06), 1), true)
      : extension(oids.keyUsage, bits(Uint8Array.of(0x80), 7), true),
  ];
  if (!template.isCa) {
    const usages = sequence(objectId(oids.serverAuth), objectId(oids.clientAuth));
    list.push(extension(oids.extendedKeyUsage, usages, false));
  }
  list.push(extension(oids.subjectKeyId, octets(keyId(template.publicKey)), false));
  if (template.issuer !== undefined) {
    const authority = sequence(implicit(0, keyId(template.issuer.publicKey)));
    list.push(extension(oids.authorityKeyId, authority, false));
  }
  if (template.sans.length > 0) {
    const names = sequence(...template.sans.map(generalName));
    list.push(extension(oids.subjectAltName, names, template.subject === undefined));
  }
  return list;
}

function extension(oid: string, value: DerValue, isCritical: boolean): DerValue {
  const content = octets(encodeDer(value));
  return isCritical
    ? sequence(objectId(oid), boolean(true), content)
    : sequence(objectId(oid), content);
}

function generalName(name: SubjectAltName): DerValue {
  switch (name.kind) {
    case 'dns':
      assert(/^[A-Za-z0-9.*_-]+$/.test(name.name), `no DNS name: ${JSON.stringify(name.name)}`);
      return implicit(2, Buffer.from(name.name, 'latin1'));
    case 'uri':
      return implicit(6, uriBytes(name.uri));
    case 'ip': {
      const bytes = addressBytes(name.address);
      assert(bytes !== undefined, `no IP address: ${name.address}`);
      return implicit(7, bytes);
    }
    default:
      return assertNever(name);
  }
}

/** IA5String content. Commas and quotes are refused: text forms of SANs separate names by them. */
function uriBytes(uri: string): Uint8Array {
  assert(/^[\x21-\x7e]+$/.test(uri) && !/[,"\\]/.test(uri), `no URI: ${JSON.stringify(uri)}`);
  return Buffer.from(uri, 'latin1');
}

function commonName(text: string | undefined): DerValue {
  if (text === undefined) return sequence();
  assert(text.length > 0 && text.length <= commonNameMax, 'common name has 1 to 64 characters');
  return sequence(setOf(sequence(objectId(oids.commonName), utf8(text))));
}

function subjectPublicKey(publicKey: Uint8Array): DerValue {
  const point = p256Point(publicKey);
  assert(point !== undefined, 'certificates are made for P-256 keys only');
  return sequence(sequence(objectId(oids.ecPublicKey), objectId(oids.p256)), bits(point, 0));
}

/** RFC 7093 §2 method 1: the first 160 bits of SHA-256 of the key, without its algorithm. */
function keyId(publicKey: Uint8Array): Uint8Array {
  const point = p256Point(publicKey);
  assert(point !== undefined, 'key ids are made for P-256 keys only');
  return createHash('sha256').update(point).digest().subarray(0, 20);
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes. */
function positiveSerial(serial: Uint8Array): Uint8Array {
  assert(serial.length >= 8 && serial.length <= 20, 'a serial has 8 to 20 bytes');
  const copy = Uint8Array.from(serial);
  copy[0] = (copy[0] ?? 0) & 0x7f;
  assert(copy.some((byte) => byte !== 0), 'a serial is not zero');
  return copy;
}
