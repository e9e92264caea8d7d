// Extensions of certificates (RFC 5280 §4.2) as facts: the seven that bear on our decisions are
// read, of all others only their names are kept, apart for critical ones.
import {
  dotted,
  end,
  inside,
  mark,
  readDer,
  tags,
  take,
  takeAny,
  takeOptional,
} from './der-read.ts';
import type { Cursor, DerNode, Trail } from './der-read.ts';
import { oids } from './oids.ts';

export type BasicConstraints = {
  readonly isCritical: boolean;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
};

/** `bits` as RFC 5280 counts them: bit 0, digitalSignature, is 1; bit 5, keyCertSign, is 32. */
export type KeyUsage = { readonly isCritical: boolean; readonly bits: number };

export type ExtendedKeyUsage = { readonly isCritical: boolean; readonly oids: readonly string[] };

export type SubjectAltNames = {
  readonly isCritical: boolean;
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
  /** E-mail addresses, directory names and the like, which nobody here reads. */
  readonly otherCount: number;
};

/** Subtrees by kind; `otherCount` are those of kinds that our certificates do not carry. */
export type Subtrees = {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly otherCount: number;
};

export type NameConstraints = { readonly permitted: Subtrees; readonly excluded: Subtrees };

export type CertificateExtensions = {
  readonly basicConstraints: BasicConstraints | undefined;
  readonly keyUsage: KeyUsage | undefined;
  readonly extendedKeyUsage: ExtendedKeyUsage | undefined;
  readonly subjectAltNames: SubjectAltNames | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  /** Dotted names of all others. */
  readonly unknown: readonly string[];
  readonly unknownCritical: readonly string[];
};

/** One extension as it stands in the list. */
export type RawExtension = {
  readonly oid: string;
  readonly isCritical: boolean;
  readonly value: Uint8Array;
  readonly trail: Trail;
};

export const noExtensions: CertificateExtensions = {
  basicConstraints: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  subjectAltNames: undefined,
  nameConstraints: undefined,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  unknown: [],
  unknownCritical: [],
};

/** `so` with the facts of one more extension. */
export function readExtension(so: CertificateExtensions, raw: RawExtension): CertificateExtensions {
  switch (raw.oid) {
    case oids.basicConstraints:
      return { ...so, basicConstraints: readBasicConstraints(raw) };
    case oids.keyUsage:
      return { ...so, keyUsage: { isCritical: raw.isCritical, bits: readKeyUsage(raw) } };
    case oids.extendedKeyUsage:
      return { ...so, extendedKeyUsage: { isCritical: raw.isCritical, oids: readUsages(raw) } };
    case oids.subjectAltName:
      return { ...so, subjectAltNames: readAltNames(raw) };
    case oids.nameConstraints:
      return { ...so, nameConstraints: readNameConstraints(raw) };
    case oids.subjectKeyId:
      return { ...so, subjectKeyId: valueOf(raw, tags.octetString).content };
    case oids.authorityKeyId:
      return { ...so, authorityKeyId: readAuthorityKeyId(raw) };
    default:
      return raw.isCritical
        ? { ...so, unknownCritical: [...so.unknownCritical, raw.oid] }
        : { ...so, unknown: [...so.unknown, raw.oid] };
  }
}

function valueOf(raw: RawExtension, tag: number): DerNode {
  const node = readDer(raw.value, raw.trail);
  if (node.tag !== tag) mark(raw.trail, `extension ${raw.oid}: not of its type`);
  return node;
}

function listOf(raw: RawExtension): Cursor {
  return inside(valueOf(raw, tags.sequence), raw.trail, `extension ${raw.oid}`);
}

function readBasicConstraints(raw: RawExtension): BasicConstraints {
  const fields = listOf(raw);
  const flag = takeOptional(fields, tags.boolean);
  if (flag?.content[0] === 0) mark(raw.trail, 'basic constraints: a default written out');
  const length = takeOptional(fields, tags.integer)?.content;
  end(fields);
  const pathLength = length?.[0];
  if (length !== undefined && (length.length !== 1 || (pathLength ?? 0) > 127)) {
    mark(raw.trail, 'basic constraints: path length out of range');
  }
  return { isCritical: raw.isCritical, isCa: flag !== undefined, pathLength };
}

/** A named bit list: no zero bits at its end (X.690 §11.2.2), and never empty (RFC 5280). */
function readKeyUsage(raw: RawExtension): number {
  const content = valueOf(raw, tags.bitString).content;
  const [unusedBits = 0, first = 0, second = 0] = content;
  const last = content.length === 3 ? second : first;
  const isShortest = ((last >> unusedBits) & 1) === 1;
  if (content.length < 2 || content.length > 3 || !isShortest) mark(raw.trail, 'key usage: bits');
  let bits = 0;
  for (let bit = 0; bit < 9; bit += 1) {
    const byte = bit < 8 ? first : second;
    if ((byte & (0x80 >> (bit % 8))) !== 0) bits |= 1 << bit;
  }
  return bits;
}

function readUsages(raw: RawExtension): readonly string[] {
  const list = listOf(raw);
  const found: string[] = [];
  if (list.nodes.length === 0) mark(raw.trail, 'extended key usage: empty');
  while (list.next < list.nodes.length && raw.trail.fault === undefined) {
    found.push(dotted(take(list, tags.objectId).content));
  }
  return found;
}

function readAltNames(raw: RawExtension): SubjectAltNames {
  const list = listOf(raw);
  const uris: string[] = [];
  const dnsNames: string[] = [];
  const addresses: Uint8Array[] = [];
  let otherCount = 0;
  if (list.nodes.length === 0) mark(raw.trail, 'alternative names: empty');
  for (let node = takeAny(list); node !== undefined; node = takeAny(list)) {
    if (node.tag === 0x86) uris.push(nameText(node, raw.trail));
    else if (node.tag === 0x82) dnsNames.push(nameText(node, raw.trail));
    else if (node.tag === 0x87) addresses.push(node.content);
    else otherCount += 1;
  }
  return { isCritical: raw.isCritical, uris, dnsNames, addresses, otherCount };
}

/** IA5String without spaces and control characters: a name with a NUL is two names to C. */
function nameText(node: DerNode, trail: Trail): string {
  if (node.content.some((byte) => byte < 0x21 || byte > 0x7e)) {
    mark(trail, 'a name with characters that none has');
  }
  return Buffer.from(node.content).toString('latin1');
}

function readNameConstraints(raw: RawExtension): NameConstraints {
  const fields = listOf(raw);
  const permitted = readSubtrees(takeOptional(fields, 0xa0), raw.trail);
  const excluded = readSubtrees(takeOptional(fields, 0xa1), raw.trail);
  end(fields);
  return { permitted, excluded };
}

/** `minimum` and `maximum` of a subtree are never used (RFC 5280 §4.2.1.10). */
function readSubtrees(list: DerNode | undefined, trail: Trail): Subtrees {
  const uris: string[] = [];
  const dnsNames: string[] = [];
  let otherCount = 0;
  for (const subtree of list?.children ?? []) {
    const fields = inside(subtree, trail, 'name constraints');
    const base = takeAny(fields);
    end(fields);
    if (base?.tag === 0x86) uris.push(nameText(base, trail));
    else if (base?.tag === 0x82) dnsNames.push(nameText(base, trail));
    else otherCount += 1;
  }
  return { uris, dnsNames, otherCount };
}

/** Only the key id; issuer and serial, which may stand beside it, tell nothing more. */
function readAuthorityKeyId(raw: RawExtension): Uint8Array | undefined {
  const fields = listOf(raw);
  const id = takeOptional(fields, 0x80)?.content;
  takeOptional(fields, 0xa1);
  takeOptional(fields, 0x82);
  end(fields);
  return id;
}
