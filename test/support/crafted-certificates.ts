// Certificates and requests with any fault that somebody can think of, written byte by byte with a
// DER writer of its own: neither the codec nor the reader that are tried with them has a part in
// it. By default they are good ones of trust domain `cluster.local`, node `node-1`.
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

export type KeyPair = { readonly publicKey: Buffer; readonly privateKey: KeyObject };

/** One value: identifier, shortest length, content. */
export function tlv(tag: number, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const content = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
  );
  const { length } = content;
  const size =
    length < 0x80
      ? [length]
      : length < 0x100
        ? [0x81, length]
        : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...arcs].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
    return digits;
  });
  return tlv(0x06, Buffer.from(bytes));
}

export function keyPair(namedCurve = 'P-256'): KeyPair {
  return paired(generateKeyPairSync('ec', { namedCurve }));
}

export function paired(pair: { publicKey: KeyObject; privateKey: KeyObject }): KeyPair {
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
  return { publicKey, privateKey: pair.privateKey };
}

export const nameOids = { commonName: '2.5.4.3' };

export function commonName(text: string): Buffer {
  return tlv(0x30, tlv(0x31, tlv(0x30, oid(nameOids.commonName), tlv(0x0c, Buffer.from(text)))));
}

export function algorithm(dotted: string): Buffer {
  return tlv(0x30, oid(dotted));
}

export const ecdsaSha256 = '1.2.840.10045.4.3.2';
const clientAuth = '1.3.6.1.5.5.7.3.2';
const serverAuth = '1.3.6.1.5.5.7.3.1';
export const usages = { clientAuth, serverAuth };

export function extension(dotted: string, value: Uint8Array, isCritical = false): Buffer {
  const critical = isCritical ? tlv(0x01, Buffer.of(0xff)) : Buffer.alloc(0);
  return tlv(0x30, oid(dotted), critical, tlv(0x04, value));
}

const no = Buffer.alloc(0);

export const extensions = {
  basic: (content: Uint8Array = no, isCritical = true) =>
    extension('2.5.29.19', tlv(0x30, content), isCritical),
  keyUsage: (bytes: readonly number[] = [7, 0x80], isCritical = true) =>
    extension('2.5.29.15', tlv(0x03, Buffer.from(bytes)), isCritical),
  extendedKeyUsage: (oids: readonly string[] = [serverAuth, clientAuth]) =>
    extension('2.5.29.37', tlv(0x30, ...oids.map(oid))),
  names: (names: readonly Uint8Array[], isCritical = true) =>
    extension('2.5.29.17', tlv(0x30, ...names), isCritical),
  constraints: (content: Uint8Array, isCritical = true) =>
    extension('2.5.29.30', tlv(0x30, content), isCritical),
  authorityKeyId: (id: Uint8Array) => extension('2.5.29.35', tlv(0x30, tlv(0x80, id))),
};

/** `cA TRUE` of basic constraints. */
export const isCa = tlv(0x01, Buffer.of(0xff));

export const uri = (text: string): Buffer => tlv(0x86, text);
export const dns = (text: string): Buffer => tlv(0x82, text);
export const goodUri = uri('spiffe://cluster.local/ns/shop/sa/web');
export const goodNode = dns('node-1.node.weft.dev');

export function utcTime(epochMs: number): Buffer {
  const text = new Date(epochMs).toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return tlv(0x17, `${text}Z`);
}

export function keyIdOf(publicKey: Uint8Array): Buffer {
  return createHash('sha256').update(publicKey.subarray(-65)).digest().subarray(0, 20);
}

/** What a certificate consists of; all DER but the times. */
export type Crafted = {
  /** Empty for version 1. */
  readonly version: Buffer;
  /** A whole INTEGER. */
  readonly serial: Buffer;
  readonly algorithm: Buffer;
  readonly outerAlgorithm: Buffer;
  readonly digest: string;
  readonly issuer: Buffer;
  readonly notBefore: Buffer;
  readonly notAfter: Buffer;
  readonly subject: Buffer;
  readonly publicKey: Buffer;
  /** Between key and extensions: unique identifiers. */
  readonly uniqueIds: Buffer;
  readonly basic: Buffer;
  readonly keyUsage: Buffer;
  readonly extendedKeyUsage: Buffer;
  readonly names: Buffer;
  readonly more: Buffer;
  /** `undefined`: made of the five before. */
  readonly extensions: Buffer | undefined;
  readonly signer: KeyObject;
};

export type Issuer = { readonly name: Buffer; readonly key: KeyPair };

export const version3 = tlv(0xa0, tlv(0x02, Buffer.of(2)));

/** A good leaf of `issuer` for `key`, as parts to be replaced. */
export function goodParts(issuer: Issuer, key: KeyPair, nowMs: number): Crafted {
  return {
    version: version3,
    serial: tlv(0x02, Buffer.concat([Buffer.of(1), randomBytes(15)])),
    algorithm: algorithm(ecdsaSha256),
    outerAlgorithm: algorithm(ecdsaSha256),
    digest: 'sha256',
    issuer: issuer.name,
    notBefore: utcTime(nowMs - 300_000),
    notAfter: utcTime(nowMs + 86_400_000),
    subject: tlv(0x30),
    publicKey: key.publicKey,
    uniqueIds: no,
    basic: extensions.basic(),
    keyUsage: extensions.keyUsage(),
    extendedKeyUsage: extensions.extendedKeyUsage(),
    names: extensions.names([goodUri, goodNode]),
    more: extensions.authorityKeyId(keyIdOf(issuer.key.publicKey)),
    extensions: undefined,
    signer: issuer.key.privateKey,
  };
}

/** The DER of a certificate of these parts, truly signed. */
export function craft(parts: Crafted): Buffer {
  const list = parts.extensions ?? extensionList(parts);
  const validity = tlv(0x30, parts.notBefore, parts.notAfter);
  const body = tlv(
    0x30,
    parts.version,
    parts.serial,
    parts.algorithm,
    parts.issuer,
    validity,
    parts.subject,
    parts.publicKey,
    parts.uniqueIds,
    list,
  );
  const signature = sign(parts.digest, body, parts.signer);
  return tlv(0x30, body, parts.outerAlgorithm, tlv(0x03, Buffer.of(0), signature));
}

function extensionList(parts: Crafted): Buffer {
  const { basic, keyUsage, extendedKeyUsage, names, more } = parts;
  return tlv(0xa3, tlv(0x30, basic, keyUsage, extendedKeyUsage, names, more));
}

export function pem(der: Uint8Array, label = 'CERTIFICATE'): string {
  const lines = Buffer.from(der).toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export type CraftedRequest = {
  readonly key: KeyPair;
  readonly extensions: readonly Buffer[];
  readonly signer?: KeyPair;
  readonly subject?: Buffer;
  /** 0 is version 1. */
  readonly version?: number;
  /** What the signature is said to be; it is ECDSA with SHA-256. */
  readonly algorithm?: string;
  /** A second attribute. */
  readonly more?: Buffer;
};

/** The DER of a certificate request (PKCS#10) that asks for these extensions. */
export function craftRequest(parts: CraftedRequest): Buffer {
  const asked = tlv(0x31, tlv(0x30, ...parts.extensions));
  const attribute = tlv(0x30, oid('1.2.840.113549.1.9.14'), asked);
  const body = tlv(
    0x30,
    tlv(0x02, Buffer.of(parts.version ?? 0)),
    parts.subject ?? tlv(0x30),
    parts.key.publicKey,
    tlv(0xa0, attribute, parts.more ?? no),
  );
  const { privateKey } = parts.signer ?? parts.key;
  const signature = sign('sha256', body, privateKey);
  const said = algorithm(parts.algorithm ?? ecdsaSha256);
  return tlv(0x30, body, said, tlv(0x03, Buffer.of(0), signature));
}

export function requestPem(key: KeyPair, list: readonly Buffer[], signer = key): string {
  return pem(craftRequest({ key, extensions: list, signer }), 'CERTIFICATE REQUEST');
}
