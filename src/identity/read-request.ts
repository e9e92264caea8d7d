// Reads a certificate request (PKCS#10, RFC 2986) strictly: one PEM block, no subject, a P-256 key
// that has signed it with SHA-256, and alternative names as the only thing asked for. Whether the
// asker may have those names is decided in judge-request.ts.
import { createPublicKey, verify } from 'node:crypto';
import {
  dotted,
  end,
  inside,
  insideSequence,
  newTrail,
  tags,
  take,
  takeWholeBits,
} from './der-read.ts';
import type { Cursor, DerNode } from './der-read.ts';
import { oids } from './oids.ts';
import { p256Point } from './p256-key.ts';
import { readPem } from './pem.ts';
import { collectExtensions } from './read-certificate.ts';
import type { CertificateExtensions, SubjectAltNames } from './read-extension.ts';
import { refused } from './refusal.ts';
import type { Refused } from './refusal.ts';
import { requestLabel } from './request.ts';

export type RequestRefusal =
  | 'RequestTooLarge'
  | 'RequestMalformed'
  | 'RequestSignatureInvalid'
  | 'RequestKeyRefused'
  | 'RequestSubjectNotEmpty'
  | 'RequestExtensionRefused'
  | 'RequestNameRefused';

/** What a request asks for; the key is the asker's, proven by its signature. */
export type ParsedRequest = {
  readonly kind: 'request';
  /** SubjectPublicKeyInfo of a P-256 key. */
  readonly publicKey: Uint8Array;
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
};

export type RequestLimits = { readonly bytesMax: number };

type RequestParts = {
  readonly body: DerNode;
  readonly subject: DerNode;
  readonly publicKey: Uint8Array;
  readonly extensions: CertificateExtensions;
  readonly hasOtherAttributes: boolean;
  readonly algorithm: string;
  readonly signature: Uint8Array;
};

/** The request that `pem` is. */
export function readCertificateRequest(
  pem: string,
  limits: RequestLimits,
): ParsedRequest | Refused<RequestRefusal> {
  const reading = readPem(pem, { label: requestLabel, bytesMax: limits.bytesMax, blocksMax: 1 });
  if (reading.kind === 'refused') {
    const reason = reading.reason === 'TooLarge' ? 'RequestTooLarge' : 'RequestMalformed';
    return refused(reason, `the request is no single PEM block: ${reading.message}`);
  }
  const trail = newTrail();
  const whole = insideSequence(reading.blocks[0] ?? new Uint8Array(0), trail, 'request');
  const parts = readParts(whole);
  if (trail.fault !== undefined) {
    return refused('RequestMalformed', `the request is no strict PKCS#10: ${trail.fault}`);
  }
  return judgeParts(parts);
}

function readParts(whole: Cursor): RequestParts {
  const { trail } = whole;
  const body = take(whole, tags.sequence);
  const algorithm = inside(take(whole, tags.sequence), trail, 'algorithm');
  const signature = takeWholeBits(whole);
  end(whole);
  const fields = inside(body, trail, 'body');
  // Version 1, which is written as 0 (RFC 2986 §4.1).
  const version = take(fields, tags.integer).content;
  const subject = take(fields, tags.sequence);
  const publicKey = take(fields, tags.sequence).whole;
  const attributes = inside(take(fields, 0xa0), trail, 'attributes');
  end(fields);
  const oid = dotted(take(algorithm, tags.objectId).content);
  end(algorithm);
  if (version.length !== 1 || version[0] !== 0) trail.fault ??= 'version out of range';
  const attribute = inside(take(attributes, tags.sequence), trail, 'attribute');
  const name = dotted(take(attribute, tags.objectId).content);
  const values = inside(take(attribute, tags.set), trail, 'attribute');
  end(attribute);
  const isRequest = name === oids.extensionRequest;
  return {
    body,
    subject,
    publicKey,
    extensions: collectExtensions(inside(take(values, tags.sequence), trail, 'extensions')),
    hasOtherAttributes: !isRequest || attributes.nodes.length > 1 || values.nodes.length > 1,
    algorithm: oid,
    signature,
  };
}

function judgeParts(parts: RequestParts): ParsedRequest | Refused<RequestRefusal> {
  if (p256Point(parts.publicKey) === undefined) {
    return refused('RequestKeyRefused', 'the key is not on P-256; make one with prime256v1');
  }
  if (parts.algorithm !== oids.ecdsaWithSha256 || !isSigned(parts)) {
    return refused(
      'RequestSignatureInvalid',
      'the request is not signed by its own key with ECDSA and SHA-256',
    );
  }
  if (parts.subject.content.length > 0) {
    return refused('RequestSubjectNotEmpty', 'the subject has to be empty; names go into URI, DNS');
  }
  const { extensions } = parts;
  const names = extensions.subjectAltNames;
  if (parts.hasOtherAttributes || names === undefined || !isAlone(extensions)) {
    return refused(
      'RequestExtensionRefused',
      'a request asks for subjectAltName and nothing else; all other extensions are the issuer’s',
    );
  }
  return namesOf(parts.publicKey, names);
}

function namesOf(
  publicKey: Uint8Array,
  names: SubjectAltNames,
): ParsedRequest | Refused<RequestRefusal> {
  if (names.addresses.length > 0 || names.otherCount > 0) {
    return refused('RequestNameRefused', 'only one URI and one DNS name can be asked for');
  }
  return { kind: 'request', publicKey, uris: names.uris, dnsNames: names.dnsNames };
}

function isAlone(extensions: CertificateExtensions): boolean {
  const { subjectAltNames: _names, unknown, unknownCritical, ...others } = extensions;
  return (
    unknown.length === 0 &&
    unknownCritical.length === 0 &&
    Object.values(others).every((one) => one === undefined)
  );
}

/** A point that is not on the curve makes no key: that is a refusal like a false signature. */
function isSigned({ body, publicKey, signature }: RequestParts): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    return verify('sha256', body.whole, key, signature);
  } catch {
    return false;
  }
}
