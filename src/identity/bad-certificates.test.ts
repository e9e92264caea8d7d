// Certificates that nobody may be known by. Each is shown in a real handshake and judged by our
// rules; tunnels demand both. `openssl` says what the handshake does alone – many a bad leaf passes
// it – and `ours` what our rules say, so that a row proves the check that it is there for.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  algorithm,
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
  oid,
  paired,
  pem,
  tlv,
  uri,
  usages,
  utcTime,
  type Crafted,
  type KeyPair,
} from '../../test/support/crafted-certificates.ts';
import { HandshakeServer } from '../../test/support/handshake.ts';
import { formatSpiffeId } from './spiffe.ts';
import { verifyPeer } from './verify-peer.ts';
import type { PeerRefusal, PeerRules } from './verify-peer.ts';

const nowMs = Date.now();
const dayMs = 86_400_000;

const authority = { name: commonName('weft test root'), key: keyPair() };
const foreign = { name: commonName('weft test root'), key: keyPair() };
const leafKey = keyPair();
const good = goodParts(authority, leafKey, nowMs);
const rootPem = pem(rootOf(authority.key));

function rootOf(key: KeyPair): Buffer {
  return craft({
    ...good,
    subject: authority.name,
    notAfter: utcTime(nowMs + 3650 * dayMs),
    publicKey: key.publicKey,
    basic: extensions.basic(isCa),
    keyUsage: extensions.keyUsage([1, 0x06]),
    extendedKeyUsage: Buffer.alloc(0),
    names: Buffer.alloc(0),
    more: extension('2.5.29.14', tlv(0x04, keyIdOf(key.publicKey))),
    signer: key.privateKey,
  });
}

/** What is wrong with it: parts that replace good ones, or all bytes; or what is asked of it. */
type Case = {
  readonly parts?: Partial<Crafted>;
  readonly der?: () => Buffer;
  readonly key?: KeyPair;
  /** Sent after the leaf. */
  readonly chain?: string;
  readonly rules?: Partial<PeerRules>;
};

type Row = Case & {
  readonly name: string;
  /** `accepts`: only the handshake can know. */
  readonly ours: PeerRefusal | 'accepts';
  /** `either`: versions of OpenSSL differ, or never see these bytes. */
  readonly openssl: 'accepts' | 'refuses' | 'either';
};

function group(
  ours: Row['ours'],
  openssl: Row['openssl'],
  cases: readonly (readonly [name: string, what: Case])[],
): Row[] {
  return cases.map(([name, what]) => ({ ...what, name, ours, openssl }));
}

const names = (...list: readonly Buffer[]): Case => ({ parts: { names: extensions.names(list) } });
const withUri = (text: string): Case => names(uri(text), goodNode);
const withNode = (text: string): Case => names(goodUri, dns(text));
const serial = (...bytes: readonly number[]): Case => ({
  parts: { serial: tlv(0x02, Buffer.from(bytes)) },
});
const more = (...list: readonly Buffer[]): Case => ({
  parts: { more: Buffer.concat([good.more, ...list]) },
});
const none = Buffer.alloc(0);

function withKey(key: KeyPair): Case {
  return { parts: { publicKey: key.publicKey }, key };
}

/** The point of a P-256 key in its short form, which our issuer never writes. */
function compressed(publicKey: Buffer): Buffer {
  const point = publicKey.subarray(-65);
  const short = Buffer.concat([Buffer.of(2 + ((point.at(-1) ?? 0) & 1)), point.subarray(1, 33)]);
  const named = tlv(0x30, oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'));
  return tlv(0x30, named, tlv(0x03, Buffer.of(0), short));
}

const leafPem = pem(craft(good));
const p384 = keyPair('P-384');
const rsa = paired(generateKeyPairSync('rsa', { modulusLength: 2048 }));
const ed25519 = paired(generateKeyPairSync('ed25519'));
const proxyId = formatSpiffeId({
  trustDomain: 'cluster.local',
  namespace: 'weft-system',
  serviceAccount: 'weft-proxy',
});

const pathRows: readonly Row[] = [
  ...group('Expired', 'refuses', [
    [
      'expired',
      { parts: { notBefore: utcTime(nowMs - dayMs), notAfter: utcTime(nowMs - 60_000) } },
    ],
  ]),
  ...group('NotYetValid', 'refuses', [
    ['not yet valid', { parts: { notBefore: utcTime(nowMs + 3_600_000) } }],
  ]),
  ...group('accepts', 'refuses', [
    ['of a foreign root', { parts: { signer: foreign.key.privateKey } }],
    [
      'of a foreign root that is sent along',
      { parts: { ...goodParts(foreign, leafKey, nowMs) }, chain: pem(rootOf(foreign.key)) },
    ],
    [
      'signed by itself',
      {
        parts: {
          issuer: tlv(0x30),
          more: extensions.authorityKeyId(keyIdOf(leafKey.publicKey)),
          signer: leafKey.privateKey,
        },
      },
    ],
    [
      'issued by another leaf',
      {
        parts: {
          issuer: tlv(0x30),
          more: extensions.authorityKeyId(keyIdOf(leafKey.publicKey)),
          signer: leafKey.privateKey,
        },
        chain: leafPem,
      },
    ],
    ['with a signature over other names', { der: () => replaced(craft(good), 'sa/web', 'sa/adm') }],
  ]),
  ...group('LifetimeTooLong', 'accepts', [
    ['of a year', { parts: { notAfter: utcTime(nowMs + 365 * dayMs) } }],
    [
      'of 25 h and a minute',
      { parts: { notAfter: utcTime(nowMs + 24 * 3_600_000 + 56 * 60_000) } },
    ],
  ]),
];

const identityRows: readonly Row[] = [
  ...group('SpiffeIdCount', 'accepts', [
    ['two URIs', names(goodUri, uri('spiffe://cluster.local/ns/shop/sa/admin'), goodNode)],
    ['the same URI twice', names(goodUri, goodUri, goodNode)],
    ['no URI', names(goodNode)],
    ['no names at all', { parts: { names: none } }],
  ]),
  ...group('TrustDomainForeign', 'accepts', [
    ['another trust domain', withUri('spiffe://cluster.other/ns/shop/sa/web')],
    ['a trust domain that ours ends', withUri('spiffe://evil.cluster.local/ns/shop/sa/web')],
  ]),
  ...group('SpiffeIdRefused', 'accepts', [
    ['an upper-case trust domain', withUri('spiffe://Cluster.local/ns/shop/sa/web')],
    ['an upper-case scheme', withUri('SPIFFE://cluster.local/ns/shop/sa/web')],
    ['another scheme', withUri('https://cluster.local/ns/shop/sa/web')],
    ['a percent escape', withUri('spiffe://cluster.local/ns/shop/sa/%77eb')],
    ['a query', withUri('spiffe://cluster.local/ns/shop/sa/web?a=b')],
    ['a fragment', withUri('spiffe://cluster.local/ns/shop/sa/web#a')],
    ['user information', withUri('spiffe://me@cluster.local/ns/shop/sa/web')],
    ['a port', withUri('spiffe://cluster.local:443/ns/shop/sa/web')],
    ['a dot segment', withUri('spiffe://cluster.local/ns/../sa/web')],
    ['an empty segment', withUri('spiffe://cluster.local/ns//sa/web')],
    ['a trailing slash', withUri('spiffe://cluster.local/ns/shop/sa/web/')],
    ['no path', withUri('spiffe://cluster.local')],
    ['an upper-case namespace', withUri('spiffe://cluster.local/ns/Shop/sa/web')],
    ['a URI of 3 000 bytes', withUri(`spiffe://cluster.local/ns/shop/sa/${'a.'.repeat(1480)}a`)],
    ['a comma in the URI', withUri('spiffe://cluster.local/ns/shop/sa/web,DNS:x')],
  ]),
  ...group('Malformed', 'accepts', [
    ['a comma and a space in the URI', withUri('spiffe://cluster.local/ns/shop/sa/web, DNS:x')],
  ]),
  ...group('SpiffeIdRefused', 'accepts', [
    ['a quote in the URI', withUri('spiffe://cluster.local/ns/shop/sa/web"')],
  ]),
  ...group('Malformed', 'accepts', [
    ['a NUL in the URI', withUri('spiffe://cluster.local/ns/shop/sa/web\0x')],
    ['a letter beyond ASCII in the URI', withUri('spiffe://cluster.local/ns/shop/sa/w\xe9b')],
  ]),
  ...group('IdentityMismatch', 'accepts', [
    ['another identity than expected', { rules: { identity: proxyId ?? 'any' } }],
  ]),
];

const nodeRows: readonly Row[] = [
  ...group('NodeMismatch', 'accepts', [
    ['stolen from another node', withNode('node-2.node.weft.dev')],
    ['of an address that no node has', { rules: { nodes: new Set() } }],
  ]),
  ...group('NodeNameCount', 'accepts', [
    ['no node', names(goodUri)],
    ['two nodes', names(goodUri, goodNode, dns('node-2.node.weft.dev'))],
  ]),
  ...group('NodeNameRefused', 'accepts', [
    ['a DNS name of somebody else', withNode('node-1.node.example')],
    ['a bare suffix', withNode('.node.weft.dev')],
    ['a wildcard', withNode('*.node.weft.dev')],
    ['a trailing dot', withNode('node-1.node.weft.dev.')],
    ['an upper-case node', withNode('Node-1.node.weft.dev')],
    ['a comma in the node', withNode('x,DNS:node-1.node.weft.dev')],
  ]),
  ...group('Malformed', 'accepts', [
    ['a NUL in the node', withNode('node-1.node.weft.dev\0.evil.example')],
  ]),
];

const profileRows: readonly Row[] = [
  ...group('IsAuthority', 'accepts', [
    ['the CA flag', { parts: { basic: extensions.basic(isCa) } }],
    ['basic constraints not critical', { parts: { basic: extensions.basic(none, false) } }],
    ['no basic constraints', { parts: { basic: none } }],
  ]),
  ...group('KeyUsageRefused', 'accepts', [
    ['keyCertSign', { parts: { keyUsage: extensions.keyUsage([2, 0x84]) } }],
    ['cRLSign', { parts: { keyUsage: extensions.keyUsage([1, 0x82]) } }],
    ['nonRepudiation', { parts: { keyUsage: extensions.keyUsage([6, 0xc0]) } }],
    [
      'decipherOnly, in the second byte',
      { parts: { keyUsage: extensions.keyUsage([7, 0x80, 0x80]) } },
    ],
  ]),
  ...group('KeyUsageRefused', 'either', [
    ['no digitalSignature', { parts: { keyUsage: extensions.keyUsage([3, 0x08]) } }],
  ]),
  ...group('KeyUsageRefused', 'accepts', [
    ['key usage not critical', { parts: { keyUsage: extensions.keyUsage([7, 0x80], false) } }],
    ['no key usage', { parts: { keyUsage: none } }],
  ]),
  ...group('ExtendedKeyUsageRefused', 'accepts', [
    [
      'client only',
      { parts: { extendedKeyUsage: extensions.extendedKeyUsage([usages.clientAuth]) } },
    ],
  ]),
  ...group('ExtendedKeyUsageRefused', 'refuses', [
    [
      'server only',
      { parts: { extendedKeyUsage: extensions.extendedKeyUsage([usages.serverAuth]) } },
    ],
  ]),
  ...group('ExtendedKeyUsageRefused', 'either', [
    ['any usage', { parts: { extendedKeyUsage: extensions.extendedKeyUsage(['2.5.29.37.0']) } }],
  ]),
  ...group('ExtendedKeyUsageRefused', 'accepts', [
    [
      'client, server and any usage',
      {
        parts: {
          extendedKeyUsage: extensions.extendedKeyUsage(
            [usages.clientAuth, usages.serverAuth, '2.5.29.37.0'],
          ),
        },
      },
    ],
    [
      'client twice',
      {
        parts: {
          extendedKeyUsage: extensions.extendedKeyUsage([usages.clientAuth, usages.clientAuth]),
        },
      },
    ],
    ['no extended usage', { parts: { extendedKeyUsage: none } }],
  ]),
  ...group('NamesNotCritical', 'accepts', [
    [
      'names not critical under an empty subject',
      { parts: { names: extensions.names([goodUri, goodNode], false) } },
    ],
  ]),
  ...group('NameRefused', 'accepts', [
    ['an address among the names', names(goodUri, goodNode, tlv(0x87, Buffer.of(10, 0, 0, 1)))],
    ['an e-mail address among the names', names(goodUri, goodNode, tlv(0x81, 'a@example.org'))],
    ['a directory name among the names', names(goodUri, goodNode, tlv(0xa4, commonName('web')))],
  ]),
  ...group('SubjectNotEmpty', 'accepts', [
    ['a subject', { parts: { subject: commonName('web') } }],
  ]),
  ...group('NameConstrained', 'either', [
    ['name constraints', more(extensions.constraints(tlv(0xa0, tlv(0x30, dns('node.weft.dev')))))],
    [
      'name constraints, not critical',
      more(extensions.constraints(tlv(0xa0, tlv(0x30, dns('node.weft.dev'))), false)),
    ],
  ]),
  ...group('ExtensionRefused', 'refuses', [
    ['an unknown critical extension', more(extension('1.3.6.1.4.1.99999.1', tlv(0x05), true))],
  ]),
  ...group('VersionRefused', 'accepts', [
    ['version 1', { parts: { version: none, extensions: none } }],
  ]),
  ...group('SerialRefused', 'accepts', [
    ['a serial of zero', serial(0)],
    ['a negative serial', serial(0x80, 1)],
    ['a serial of 21 bytes', serial(...new Array<number>(21).fill(1))],
  ]),
  ...group('KeyRefused', 'accepts', [
    ['a key on P-384', withKey(p384)],
    ['an RSA key', withKey(rsa)],
    ['an Ed25519 key', withKey(ed25519)],
  ]),
  ...group('KeyRefused', 'either', [
    ['a compressed point', { parts: { publicKey: compressed(leafKey.publicKey) } }],
  ]),
  ...group('SignatureRefused', 'either', [
    ['signed with SHA-1', signedWith('1.2.840.10045.4.1', 'sha1')],
  ]),
  ...group('SignatureRefused', 'accepts', [
    ['signed with SHA-384', signedWith('1.2.840.10045.4.3.3', 'sha384')],
  ]),
];

function signedWith(dotted: string, digest: string): Case {
  return { parts: { algorithm: algorithm(dotted), outerAlgorithm: algorithm(dotted), digest } };
}

/** Bytes that are no DER or no certificate, whatever OpenSSL makes of them. */
const formRows: readonly Row[] = [
  ...group('Malformed', 'either', [
    ['bytes after the end', { der: () => Buffer.concat([craft(good), Buffer.of(0)]) }],
    ['an indefinite length', { der: () => indefinite(craft(good)) }],
    ['a length that is not minimal', { der: () => padded(craft(good)) }],
    ['an extension twice', more(good.basic)],
    [
      'a default written out',
      {
        parts: {
          basic: tlv(0x30, oid('2.5.29.19'), tlv(0x01, Buffer.of(0)), tlv(0x04, tlv(0x30))),
        },
      },
    ],
    [
      'TRUE written as 1',
      {
        parts: {
          basic: tlv(0x30, oid('2.5.29.19'), tlv(0x01, Buffer.of(1)), tlv(0x04, tlv(0x30))),
        },
      },
    ],
    ['cA FALSE written out', { parts: { basic: extensions.basic(tlv(0x01, Buffer.of(0))) } }],
    [
      'bytes after the value of an extension',
      {
        parts: {
          keyUsage: extension(
            '2.5.29.15',
            Buffer.concat([tlv(0x03, Buffer.of(7, 0x80)), Buffer.of(0)]),
            true,
          ),
        },
      },
    ],
    [
      'key usage with zero bits at its end',
      { parts: { keyUsage: extensions.keyUsage([0, 0x80]) } },
    ],
    ['unused bits that are set', { parts: { keyUsage: extensions.keyUsage([7, 0xff]) } }],
    [
      'an extension of another type',
      { parts: { basic: extension('2.5.29.19', tlv(0x31), true) } },
    ],
    ['an extension without a value', more(tlv(0x30, oid('1.2.3.4')))],
    ['an empty list of extensions', { parts: { extensions: tlv(0xa3, tlv(0x30)) } }],
    ['an empty list of names', names()],
    ['an empty list of usages', { parts: { extendedKeyUsage: extensions.extendedKeyUsage([]) } }],
    ['a padded serial', serial(0, 1, 2)],
    ['an empty serial', serial()],
    ['a time without seconds', { parts: { notBefore: tlv(0x17, '2601010000Z') } }],
    ['a time with an offset', { parts: { notBefore: tlv(0x17, '260101000000+0100') } }],
    ['a day that is none', { parts: { notBefore: tlv(0x17, '260230000000Z') } }],
    ['a GeneralizedTime before 2050', { parts: { notBefore: tlv(0x18, '20260101000000Z') } }],
    ['a time with a fraction', { parts: { notAfter: tlv(0x18, '20510101000000.5Z') } }],
    ['a unique identifier', { parts: { uniqueIds: tlv(0x81, Buffer.of(0, 1)) } }],
    ['a signature of 7 bits in its last byte', { der: () => loosened() }],
    ['two algorithms', { parts: { outerAlgorithm: algorithm('1.2.840.10045.4.3.3') } }],
    ['extensions in version 2', { parts: { version: tlv(0xa0, tlv(0x02, Buffer.of(1))) } }],
    [
      'version 1 written out',
      { parts: { version: tlv(0xa0, tlv(0x02, Buffer.of(0))), extensions: none } },
    ],
    ['a version 4', { parts: { version: tlv(0xa0, tlv(0x02, Buffer.of(3))) } }],
    [
      'an arc that is padded',
      more(tlv(0x30, tlv(0x06, Buffer.of(0x2a, 0x80, 1)), tlv(0x04, tlv(0x05)))),
    ],
    ['an octet string in pieces', more(tlv(0x30, oid('1.2.3.4'), tlv(0x24, tlv(0x04, tlv(0x05)))))],
    ['a high tag number', { parts: { uniqueIds: Buffer.of(0x9f, 0x21, 0x00) } }],
    [
      'a set out of order',
      {
        parts: {
          issuer: tlv(
            0x30,
            tlv(
              0x31,
              tlv(0x30, oid('2.5.4.3'), tlv(0x0c, 'b')),
              tlv(0x30, oid('2.5.4.3'), tlv(0x0c, 'a')),
            ),
          ),
        },
      },
    ],
    ['fifteen levels', { parts: { issuer: nested(15) } }],
    [
      'three thousand values',
      { parts: { issuer: tlv(0x30, ...new Array<Buffer>(3000).fill(tlv(0x05))) } },
    ],
    ['20 kB', more(extension('1.2.3.4', tlv(0x04, Buffer.alloc(20_000))))],
    ['nothing', { der: () => none }],
    ['another outer tag', { der: () => Buffer.concat([Buffer.of(0x61), craft(good).subarray(1)]) }],
    ['another structure', { der: () => tlv(0x30, tlv(0x30), tlv(0x30)) }],
  ]),
];

function replaced(der: Buffer, from: string, to: string): Buffer {
  return Buffer.from(der.toString('latin1').replace(from, to), 'latin1');
}

/** The last bit is called unused, and is zero: the signature itself may well be good. */
function loosened(): Buffer {
  const der = craft(good);
  const at = [0x46, 0x47, 0x48, 0x49]
    .map((length) => der.length - length)
    .find((start) => der[start - 2] === 3 && der[start] === 0 && der[start + 1] === 0x30);
  if (at === undefined) return loosened();
  der[at] = 1;
  der[der.length - 1] = (der.at(-1) ?? 0) & 0xfe;
  return der;
}

function indefinite(der: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x30, 0x80), der.subarray(4), Buffer.of(0, 0)]);
}

function padded(der: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x30, 0x83, 0), der.subarray(2)]);
}

function nested(levels: number): Buffer {
  return levels === 0 ? tlv(0x30) : tlv(0x30, nested(levels - 1));
}

const rules: PeerRules = {
  trustDomain: 'cluster.local',
  nodes: new Set(['node-1']),
  identity: 'any',
  nowMs,
};

let server: HandshakeServer;
beforeAll(async () => {
  server = await HandshakeServer.open({ pem: leafPem, key: leafKey.privateKey }, rootPem);
});
afterAll(() => server.close());

describe.each([
  ['path', pathRows],
  ['identity', identityRows],
  ['node', nodeRows],
  ['profile', profileRows],
  ['form', formRows],
])('refused by %s', (_family, rows) => {
  test.each(rows)('$name', async (row) => {
    const der = row.der?.() ?? craft({ ...good, ...row.parts });
    const verdict = verifyPeer(der, { ...rules, ...row.rules });
    expect(verdict.kind === 'refused' ? verdict.reason : 'accepts').toBe(row.ours);
    if (row.openssl === 'either') return;
    const key = (row.key ?? leafKey).privateKey;
    const shown = await server.judge({ pem: `${pem(der)}${row.chain ?? ''}`, key });
    expect(shown.kind).toBe(row.openssl === 'accepts' ? 'accepted' : 'refused');
    expect([row.ours, row.openssl]).not.toEqual(['accepts', 'accepts']);
  });
});

describe('accepted', () => {
  test.each<readonly [name: string, what: Case]>([
    ['a good one', {}],
    [
      'with an unknown extension that is not critical',
      more(extension('1.3.6.1.4.1.99999.1', tlv(0x05))),
    ],
    ['with its names in the other order', names(goodNode, goodUri)],
    ['with the longest serial', serial(0x7f, ...new Array<number>(19).fill(0xff))],
    ['of 25 h exactly', { parts: { notAfter: utcTime(nowMs + 25 * 3_600_000 - 300_000) } }],
  ])('%s', async (_name, { parts }) => {
    const der = craft({ ...good, ...parts });
    expect(verifyPeer(der, rules)).toMatchObject({ kind: 'peer', node: 'node-1' });
    const shown = await server.judge({ pem: pem(der), key: leafKey.privateKey });
    expect(shown).toEqual({ kind: 'accepted' });
  });

  test('until the second of its end, and from that of its beginning', () => {
    const der = craft(good);
    const at = (epochMs: number) => verifyPeer(der, { ...rules, nowMs: epochMs }).kind;
    const startMs = Math.floor((nowMs - 300_000) / 1000) * 1000;
    const endMs = Math.floor((nowMs + dayMs) / 1000) * 1000;
    expect([at(startMs - 1), at(startMs), at(endMs), at(endMs + 1)]).toEqual([
      'refused',
      'peer',
      'peer',
      'refused',
    ]);
  });
});
