// Reads an X.509 certificate (RFC 5280 §4) from its DER, strictly, into plain facts. It judges
// nothing – an expired certificate of a foreign root is read like any other – and verifies no
// signature. Our own reader, because node:crypto shows no key usage bits and gives alternative
// names as one text, in which a name can hold a comma.
import {
  dotted,
  end,
  inside,
  insideSequence,
  mark,
  newTrail,
  tags,
  take,
  takeAny,
  takeOptional,
  takeWholeBits,
} from './der-read.ts';
import type { Cursor, DerNode, Trail } from './der-read.ts';
import { noExtensions, readExtension } from './read-extension.ts';
import type { CertificateExtensions } from './read-extension.ts';
import { parseTimestamp } from '../lib/timestamp.ts';
import { p256Point } from './p256-key.ts';
import { refused } from './refusal.ts';
import type { Refused } from './refusal.ts';

export type ParsedCertificate = {
  readonly version: number;
  /** Two's complement, as it stands there: any length, negative if the first bit is set. */
  readonly serial: Uint8Array;
  /** Dotted; the same inside and outside of what is signed. */
  readonly signatureAlgorithm: string;
  /** DER of the whole name. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly isSubjectEmpty: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  readonly isP256: boolean;
  readonly extensions: CertificateExtensions;
};

export type CertificateReading =
  | { readonly kind: 'certificate'; readonly certificate: ParsedCertificate }
  | Refused<'Malformed'>;

/** Ours have 600 bytes; a certificate of an operator's authority may have some thousand. */
const certificateBytesMax = 16_384;

/** The certificate that `der` is. */
export function readCertificate(der: Uint8Array): CertificateReading {
  if (der.length > certificateBytesMax) {
    return refused('Malformed', `longer than ${certificateBytesMax} bytes`);
  }
  const trail = newTrail();
  const whole = insideSequence(der, trail, 'certificate');
  const body = inside(take(whole, tags.sequence), trail, 'body');
  const outerAlgorithm = take(whole, tags.sequence);
  takeWholeBits(whole);
  end(whole);
  const certificate = readBody(body, outerAlgorithm);
  if (trail.fault !== undefined) return refused('Malformed', trail.fault);
  return { kind: 'certificate', certificate };
}

/** RFC 5280 §4.1.2, in order; the unique identifiers of version 2 are not taken by anybody. */
function readBody(body: Cursor, outerAlgorithm: DerNode): ParsedCertificate {
  const { trail } = body;
  const version = readVersion(body);
  const serial = take(body, tags.integer).content;
  const algorithm = take(body, tags.sequence);
  if (Buffer.compare(algorithm.whole, outerAlgorithm.whole) !== 0) {
    mark(trail, 'two different signature algorithms');
  }
  const issuer = take(body, tags.sequence);
  const validity = inside(take(body, tags.sequence), trail, 'validity');
  const notBeforeMs = readTime(validity);
  const notAfterMs = readTime(validity);
  end(validity);
  const subject = take(body, tags.sequence);
  const publicKey = take(body, tags.sequence).whole;
  const extensions = readExtensions(body, version);
  end(body);
  return {
    version,
    serial,
    signatureAlgorithm: readAlgorithm(algorithm, trail),
    issuer: issuer.whole,
    subject: subject.whole,
    isSubjectEmpty: subject.content.length === 0,
    notBeforeMs,
    notAfterMs,
    publicKey,
    isP256: p256Point(publicKey) !== undefined,
    extensions,
  };
}

/** Absent means 1; the default is never written out in DER. */
function readVersion(body: Cursor): number {
  const explicit = takeOptional(body, 0xa0);
  if (explicit === undefined) return 1;
  const inner = inside(explicit, body.trail, 'version');
  const content = take(inner, tags.integer).content;
  end(inner);
  const value = content[0] ?? 0;
  if (content.length !== 1 || value < 1 || value > 2) mark(body.trail, 'version out of range');
  return value + 1;
}

function readAlgorithm(node: DerNode, trail: Trail): string {
  const cursor = inside(node, trail, 'algorithm');
  const oid = take(cursor, tags.objectId).content;
  takeAny(cursor);
  end(cursor);
  return dotted(oid);
}

function readExtensions(body: Cursor, version: number): CertificateExtensions {
  const explicit = takeOptional(body, 0xa3);
  if (explicit === undefined) return noExtensions;
  if (version !== 3) mark(body.trail, 'extensions before version 3');
  const outer = inside(explicit, body.trail, 'extensions');
  const list = inside(take(outer, tags.sequence), body.trail, 'extensions');
  end(outer);
  return collectExtensions(list);
}

/** `Extensions` of a certificate or of a request; each at most once (RFC 5280 §4.2). */
export function collectExtensions(list: Cursor): CertificateExtensions {
  const seen = new Set<string>();
  let extensions = noExtensions;
  if (list.nodes.length === 0) mark(list.trail, 'an empty list of extensions');
  for (let node = takeAny(list); node !== undefined; node = takeAny(list)) {
    const fields = inside(node, list.trail, 'extension');
    const oid = dotted(take(fields, tags.objectId).content);
    const critical = takeOptional(fields, tags.boolean);
    // FALSE is the default, and defaults are never written out in DER (X.690 §11.5).
    if (critical?.content[0] === 0) mark(list.trail, `extension ${oid}: a default written out`);
    const value = take(fields, tags.octetString).content;
    end(fields);
    if (seen.has(oid)) mark(list.trail, `extension ${oid}: twice`);
    if (list.trail.fault !== undefined) break;
    seen.add(oid);
    const isCritical = critical !== undefined;
    extensions = readExtension(extensions, { oid, isCritical, value, trail: list.trail });
  }
  return extensions;
}

const utcTime = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([0-5]\d)Z$/;
const generalizedTime = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)([0-5]\d)Z$/;

/** RFC 5280 §4.1.2.5: UTCTime up to 2049 (50 to 99 are 19xx), GeneralizedTime from 2050 on. */
function readTime(cursor: Cursor): number {
  const short = takeOptional(cursor, tags.utcTime);
  const node = short ?? take(cursor, tags.generalizedTime);
  const text = Buffer.from(node.content).toString('latin1');
  const found = (short === undefined ? generalizedTime : utcTime).exec(text);
  const [, year = '', month, day, hour, minute, second] = found ?? [];
  const century = Number(year) < 50 ? '20' : '19';
  const fullYear = short === undefined ? year : `${century}${year}`;
  const epochMs = parseTimestamp(`${fullYear}-${month}-${day}T${hour}:${minute}:${second}Z`);
  const isEarly = short === undefined && Number(year) < 2050;
  if (epochMs === undefined || isEarly) mark(cursor.trail, 'a time that is none');
  return epochMs ?? 0;
}
