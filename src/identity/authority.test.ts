// Authorities: the root that the mesh makes, an intermediate as operators make them with openssl,
// and everything that can be wrong with one, each with its reason. What an authority issues has to
// be accepted by openssl and by node:tls, with the chain that we hand out.
import { execFileSync } from 'node:child_process';
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  commonName,
  craft,
  dns,
  extension,
  extensions,
  goodParts,
  isCa,
  keyIdOf,
  keyPair,
  paired,
  pem,
  tlv,
  uri,
  utcTime,
  type Crafted,
  type KeyPair,
} from '../../test/support/crafted-certificates.ts';
import { HandshakeServer } from '../../test/support/handshake.ts';
import { acceptIssued } from './accept-issued.ts';
import { checkAuthority } from './authority.ts';
import type { Authority, AuthorityRefusal } from './authority.ts';
import { issueLeaf, makeRoot } from './issue.ts';
import type { IssuedLeaf } from './issue.ts';
import { readCertificate } from './read-certificate.ts';
import type { SpiffeId } from './spiffe.ts';
import { readTrustBundle } from './trust-bundle.ts';

const nowMs = Date.now();
const dayMs = 86_400_000;
const trustDomain = 'cluster.local';
const spiffeId = 'spiffe://cluster.local/ns/shop/sa/web' as SpiffeId;

const dir = mkdtempSync(join(tmpdir(), 'weft-authority-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function keyText(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

const signer = (key: KeyObject) => (bytes: Uint8Array) => sign('sha256', bytes, key);
const serial = Uint8Array.from({ length: 16 }, (_one, index) => 0xf0 + index);

/** Now and not `nowMs`: openssl has begun some of them later. */
function authorityOf(chainPem: string, keyPem: string): Authority {
  const verdict = checkAuthority({ chainPem, keyPem, trustDomain, nowMs: Date.now() });
  if (verdict.kind === 'problems') throw new Error(JSON.stringify(verdict.problems));
  return verdict;
}

function issued(authority: Authority, key: KeyPair, by: KeyObject, lifetimeMs = dayMs): IssuedLeaf {
  const leaf = { spiffeId, node: 'node-1', publicKey: key.publicKey, lifetimeMs };
  const answer = issueLeaf({ leaf, authority, serial, nowMs, sign: signer(by) });
  if (answer.kind === 'refused') throw new Error(answer.message);
  return answer;
}

const rootKey = keyPair();
const rootPem = makeRoot({
  trustDomain,
  publicKey: rootKey.publicKey,
  serial,
  nowMs,
  sign: signer(rootKey.privateKey),
});
const own = authorityOf(rootPem, keyText(rootKey.privateKey));

/** As an operator would: an RSA root, and an intermediate on P-256 below it. */
function operatorChain(): { readonly chainPem: string; readonly keyPem: string } {
  const at = (name: string) => join(dir, name);
  openssl(
    'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', at('root.key'), '-days', '365',
    '-out', at('root.crt'), '-subj', '/O=Example/CN=Example root',
    '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
  );
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at('mesh.key'));
  openssl('req', '-new', '-key', at('mesh.key'), '-subj', '/CN=Mesh', '-out', at('m.csr'));
  const profile = file('mesh.ext', [
    'basicConstraints=critical,CA:true,pathlen:0',
    'keyUsage=critical,keyCertSign,cRLSign',
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid:always',
    'nameConstraints=critical,permitted;URI:cluster.local,permitted;DNS:node.weft.dev',
  ].join('\n'));
  openssl(
    'x509', '-req', '-in', at('m.csr'), '-CA', at('root.crt'), '-CAkey', at('root.key'),
    '-CAcreateserial', '-days', '30', '-sha256', '-extfile', profile, '-out', at('mesh.crt'),
  );
  const chain = ['mesh.crt', 'root.crt'].map((name) => readFileSync(at(name), 'utf8'));
  return { chainPem: chain.join(''), keyPem: readFileSync(at('mesh.key'), 'utf8') };
}

describe('an issued leaf', () => {
  const operator = operatorChain();
  const mesh = authorityOf(operator.chainPem, operator.keyPem);
  const leafKey = keyPair();
  test.each([
    ['our root', own, keyText(rootKey.privateKey)],
    ['the intermediate of an operator', mesh, operator.keyPem],
  ])('of %s is accepted by openssl -x509_strict, node:tls and its proxy', async (_who, by, key) => {
    const leaf = issued(by, leafKey, createPrivateKey(key));
    const trust = file('trust.pem', by.rootPem);
    const shown = file('leaf.pem', leaf.pem);
    for (const purpose of ['sslserver', 'sslclient']) {
      const answer = openssl(
        'verify', '-x509_strict', '-purpose', purpose, '-CAfile', trust, '-untrusted', shown, shown,
      );
      expect(answer).toContain('OK');
    }
    const server = await HandshakeServer.open(
      { pem: leaf.pem, key: leafKey.privateKey },
      by.rootPem,
    );
    const verdict = await server.judge({ pem: leaf.pem, key: leafKey.privateKey });
    await server.close();
    expect(verdict).toEqual({ kind: 'accepted' });
    const { roots } = readTrustBundle(by.rootPem);
    const { publicKey } = leafKey;
    const at = { nowMs: Date.now() };
    const asked = { trustDomain, spiffeId, node: 'node-1', publicKey, roots, ...at };
    expect(acceptIssued(leaf.pem, asked)).toMatchObject({
      kind: 'accepted',
      pem: leaf.pem,
      rootFingerprint: roots[0]?.fingerprint,
    });
  });

  test('lives 24 h, from five minutes ago', () => {
    const leaf = issued(own, leafKey, rootKey.privateKey);
    expect([leaf.notBeforeMs - nowMs, leaf.notAfterMs - nowMs]).toEqual([-300_000, dayMs]);
  });

  test('lives no longer than its issuers', () => {
    const short = { ...own, notAfterMs: nowMs + 3_600_000 };
    expect(issued(short, leafKey, rootKey.privateKey).notAfterMs).toBe(short.notAfterMs);
    const leaf = { spiffeId, node: 'node-1', publicKey: leafKey.publicKey, lifetimeMs: dayMs };
    const sign = signer(rootKey.privateKey);
    const expired = { ...own, notAfterMs: nowMs };
    expect(issueLeaf({ leaf, authority: expired, serial, nowMs, sign })).toMatchObject({
      kind: 'refused',
      reason: 'AuthorityExpired',
    });
  });
});


describe('a root of our own', () => {
  test('issues leaves only, for ten years, and names its trust domain', () => {
    const [root] = readTrustBundle(rootPem).roots;
    const reading = readCertificate(root?.der ?? new Uint8Array(0));
    expect(reading).toMatchObject({
      kind: 'certificate',
      certificate: {
        extensions: {
          basicConstraints: { isCritical: true, isCa: true, pathLength: 0 },
          keyUsage: { isCritical: true, bits: 0b110_0000 },
          subjectAltNames: { uris: ['spiffe://cluster.local'], dnsNames: [] },
        },
      },
    });
    const years = ((root?.notAfterMs ?? 0) - nowMs) / (365 * dayMs);
    expect(years).toBeCloseTo(10, 3);
  });

  test('has a name of its own, also for the longest trust domain', () => {
    const options = { publicKey: rootKey.publicKey, nowMs, sign: signer(rootKey.privateKey) };
    const long = { ...options, trustDomain: 'a'.repeat(255) };
    const names = [serial, new Uint8Array(16).fill(7)].map((one) => {
      const [root] = readTrustBundle(makeRoot({ ...long, serial: one })).roots;
      return createHash('sha256').update(root?.der.subarray(60, 160) ?? '').digest('hex');
    });
    expect(new Set(names).size).toBe(2);
  });
});

const caKey = keyPair();
const topKey = keyPair();
const topName = commonName('top');
const caName = commonName('issuer');
const none = Buffer.alloc(0);

/** An authority for `key`, under the top one, unless parts say otherwise. */
function craftCa(key: KeyPair, changes: Partial<Crafted>): string {
  const skid = extension('2.5.29.14', tlv(0x04, keyIdOf(key.publicKey)));
  return pem(
    craft({
      ...goodParts({ name: topName, key: topKey }, key, nowMs),
      subject: caName,
      notAfter: utcTime(nowMs + 30 * dayMs),
      basic: extensions.basic(isCa),
      keyUsage: extensions.keyUsage([1, 0x06]),
      extendedKeyUsage: none,
      names: none,
      more: skid,
      ...changes,
    }),
  );
}

const topPem = craftCa(topKey, { subject: topName });
const ca = (changes: Partial<Crafted>) => craftCa(caKey, changes);
const caKeyPem = keyText(caKey.privateKey);
const skid = extension('2.5.29.14', tlv(0x04, keyIdOf(caKey.publicKey)));
const withoutAuthorities = extensions.basic(Buffer.concat([isCa, tlv(0x02, Buffer.of(0))]));
const constrained = (content: Buffer) =>
  ca({ more: Buffer.concat([skid, extensions.constraints(content)]) });
const subtrees = (names: readonly Buffer[]) => names.map((name) => tlv(0x30, name));
const permitted = (...names: readonly Buffer[]) => tlv(0xa0, ...subtrees(names));
const excluded = (...names: readonly Buffer[]) => tlv(0xa1, ...subtrees(names));

function reasonsOf(chainPem: string, keyPem: string): readonly AuthorityRefusal[] {
  const verdict = checkAuthority({ chainPem, keyPem, trustDomain, nowMs });
  return verdict.kind === 'problems' ? verdict.problems.map((one) => one.reason) : [];
}

describe('checkAuthority', () => {
  test.each([
    ['a root', topPem, keyText(topKey.privateKey)],
    ['an intermediate with its root', ca({}) + topPem, caKeyPem],
    [
      'constraints that admit us',
      constrained(permitted(uri('cluster.local'), dns('weft.dev'))) + topPem,
      caKeyPem,
    ],
    [
      'constraints on hosts below',
      constrained(permitted(uri('.local'), dns('.node.weft.dev'))) + topPem,
      caKeyPem,
    ],
    [
      'constraints that exclude others',
      constrained(excluded(uri('example.org'), dns('example.org'))) + topPem,
      caKeyPem,
    ],
    [
      'constraints on other kinds',
      constrained(permitted(tlv(0x81, 'example.org'))) + topPem,
      caKeyPem,
    ],
    ['both usages', ca({ extendedKeyUsage: extensions.extendedKeyUsage() }) + topPem, caKeyPem],
    ['a path length of 0', ca({ basic: withoutAuthorities }) + topPem, caKeyPem],
  ])('takes %s', (_what, chainPem, keyPem) => {
    expect(authorityOf(chainPem, keyPem).rootPem).toBe(topPem);
  });

  const p384 = keyPair('P-384');
  const weakKey = paired(generateKeyPairSync('rsa', { modulusLength: 1024 }));
  type KeyRow = readonly [what: string, reason: AuthorityRefusal, chainPem: string, keyPem: string];
  test.each<KeyRow>([
    ['no key', 'KeyMalformed', ca({}) + topPem, 'hello'],
    ['an encrypted key', 'KeyMalformed', ca({}) + topPem, encrypted()],
    ['the key of another', 'KeyMismatch', ca({}) + topPem, keyText(topKey.privateKey)],
    ['a key on P-384', 'KeyRefused', craftCa(p384, {}) + topPem, keyText(p384.privateKey)],
  ])('refuses %s: %s', (_what, reason, chainPem, keyPem) => {
    expect(reasonsOf(chainPem, keyPem)).toContain(reason);
  });

  test.each<readonly [what: string, reason: AuthorityRefusal, chainPem: string]>([
    ['no PEM', 'ChainMalformed', 'hello'],
    ['no certificate', 'ChainMalformed', pem(Buffer.of(0x30, 0))],
    ['six certificates', 'ChainMalformed', topPem.repeat(6)],
    ['the root first', 'KeyMismatch', topPem + ca({})],
    ['a leaf', 'AuthorityRefused', ca({ basic: extensions.basic() }) + topPem],
    ['no keyCertSign', 'AuthorityRefused', ca({ keyUsage: extensions.keyUsage() }) + topPem],
    ['no key usage', 'AuthorityRefused', ca({ keyUsage: none }) + topPem],
    [
      'server usage alone',
      'AuthorityRefused',
      ca({ extendedKeyUsage: extensions.extendedKeyUsage(['1.3.6.1.5.5.7.3.1']) }) + topPem,
    ],
    [
      'an unknown critical extension',
      'AuthorityRefused',
      ca({ names: extension('1.2.3.4', tlv(0x05), true) }) + topPem,
    ],
    ['no key id', 'AuthorityKeyIdMissing', ca({ more: none }) + topPem],
    ['an end that is past', 'AuthorityExpired', ca({ notAfter: utcTime(nowMs - 1_000) }) + topPem],
    [
      'a root whose end is past',
      'AuthorityExpired',
      ca({}) + craftCa(topKey, { subject: topName, notAfter: utcTime(nowMs - 1_000) }),
    ],
    [
      'a beginning to come',
      'AuthorityNotYetValid',
      ca({ notBefore: utcTime(nowMs + 60_000) }) + topPem,
    ],
    ['no root', 'ChainRootMissing', ca({})],
    ['a root of others', 'ChainOrder', ca({}) + rootPem],
    [
      'a root of the same name',
      'ChainOrder',
      ca({}) + craftCa(caKey, { subject: topName, signer: caKey.privateKey }),
    ],
    [
      'a root that allows no authorities',
      'ChainPathLength',
      ca({}) + craftCa(topKey, { subject: topName, basic: withoutAuthorities }),
    ],
    [
      'constraints to another trust domain',
      'ChainConstrained',
      constrained(permitted(uri('example.org'))) + topPem,
    ],
    [
      'constraints to other names',
      'ChainConstrained',
      constrained(permitted(dns('example.org'))) + topPem,
    ],
    [
      'constraints that exclude us',
      'ChainConstrained',
      constrained(excluded(uri('cluster.local'))) + topPem,
    ],
    [
      'constraints that exclude our domain',
      'ChainConstrained',
      constrained(excluded(dns('weft.dev'))) + topPem,
    ],
    [
      'a root with an RSA key of 1024 bits',
      'ChainWeak',
      ca(rsaSigned(weakKey)) + craftCa(weakKey, { subject: topName, ...rsaSigned(weakKey) }),
    ],
    [
      'a signature with SHA-1',
      'ChainWeak',
      ca({ digest: 'sha1', algorithm: sha1(), outerAlgorithm: sha1() }) + topPem,
    ],
  ])('refuses %s: %s', (_what, reason, chainPem) => {
    expect(reasonsOf(chainPem, caKeyPem)).toContain(reason);
  });

  test('tells all faults at once', () => {
    const chainPem = ca({ basic: extensions.basic(), notAfter: utcTime(nowMs - 1_000) });
    expect(reasonsOf(chainPem, 'x')).toEqual([
      'KeyMalformed',
      'AuthorityRefused',
      'AuthorityExpired',
      'ChainRootMissing',
    ]);
  });
});

function rsaSigned({ privateKey: signer }: KeyPair): Partial<Crafted> {
  const rsaWithSha256 = tlv(0x30, Buffer.from('06092a864886f70d01010b0500', 'hex'));
  return { algorithm: rsaWithSha256, outerAlgorithm: rsaWithSha256, signer };
}

function sha1(): Buffer {
  return tlv(0x30, Buffer.from('06072a8648ce3d0401', 'hex'));
}

function encrypted(): string {
  const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' } as const;
  return caKey.privateKey.export(options).toString();
}

describe('readTrustBundle', () => {
  test('reads each root once, in order', () => {
    const { roots, problems } = readTrustBundle(`${topPem}\n${rootPem}${topPem}`);
    expect(roots.map((root) => root.pem)).toEqual([topPem, rootPem]);
    expect(problems).toEqual([]);
  });

  test('one bad certificate harms no other', () => {
    const expired = craftCa(topKey, { subject: topName, notAfter: utcTime(nowMs - 1_000) });
    const leaf = craftCa(topKey, { subject: topName, basic: extensions.basic() });
    const { roots, problems } = readTrustBundle(leaf + ca({}) + expired + pem(tlv(0x30)) + topPem);
    // An expired root stays: who watches expiry tells, and OpenSSL does not take it.
    expect(roots.map((root) => root.pem)).toEqual([expired, topPem]);
    expect(problems.map(({ reason }) => reason)).toEqual(new Array(3).fill('RootRefused'));
    expect(problems.map(({ message }) => message.slice(0, 14))).toEqual([
      'certificate 1:',
      'certificate 2:',
      'certificate 4:',
    ]);
  });

  test.each([
    ['nothing', '', 'BundleMalformed'],
    ['a key', keyText(caKey.privateKey), 'BundleMalformed'],
    ['an open block', topPem.slice(0, -10), 'BundleMalformed'],
    ['text between blocks', `${topPem}# our old root\n${rootPem}`, 'BundleMalformed'],
    ['65 certificates', topPem.repeat(65), 'BundleTooLarge'],
    ['more than 256 kB', `${topPem}${'\n'.repeat(262_144)}`, 'BundleTooLarge'],
  ])('%s gives no roots at all', (_what, text, reason) => {
    expect(readTrustBundle(text)).toMatchObject({ roots: [], problems: [{ reason }] });
  });
});
