// Certificates as others see them: node:crypto and the openssl command have to accept every one,
// and nothing may stand in them that was not asked for.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createCertificate } from './certificate.ts';
import type { CertificateTemplate } from './certificate.ts';
import { p256Point } from './p256-key.ts';
import { pemOf } from './pem.ts';
import type { SubjectAltName } from './write-extension.ts';

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 0, 15, 12, 0, 0);

function keyPair() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    privateKey,
    sign: (bytes: Uint8Array) => sign('sha256', bytes, privateKey),
  };
}

const authority = keyPair();
const server = keyPair();
const issuer = { subject: 'weft test authority', publicKey: authority.publicKey };

function template(changes: Partial<CertificateTemplate>): CertificateTemplate {
  return {
    sans: [],
    isCa: false,
    serial: Uint8Array.from([0xff, 2, 3, 4, 5, 6, 7, 8]),
    notBeforeMs: nowMs - 60_000,
    notAfterMs: nowMs + dayMs,
    publicKey: server.publicKey,
    issuer,
    sign: authority.sign,
    ...changes,
  };
}

const { issuer: _self, ...rootParts } = template({
  subject: issuer.subject,
  isCa: true,
  publicKey: authority.publicKey,
});
const rootPem = pemOf(createCertificate(rootParts), 'CERTIFICATE');

const serverSans: readonly SubjectAltName[] = [
  { kind: 'dns', name: 'localhost' },
  { kind: 'dns', name: 'kubernetes.default.svc' },
  { kind: 'ip', address: '127.0.0.1' },
  { kind: 'ip', address: '::1' },
];
const serverPem = pemOf(
  createCertificate(template({ subject: 'kube-apiserver', sans: serverSans })),
  'CERTIFICATE',
);
const workloadUri = 'spiffe://cluster.local/ns/shop/sa/web';
const workloadPem = pemOf(
  createCertificate(
    template({
      sans: [
        { kind: 'uri', uri: workloadUri },
        { kind: 'dns', name: 'node-1.node.weft.dev' },
      ],
    }),
  ),
  'CERTIFICATE',
);

describe('createCertificate', () => {
  test('node:crypto accepts a root and the leaf that it issued', () => {
    const root = new X509Certificate(rootPem);
    const leaf = new X509Certificate(serverPem);
    expect(root.ca).toBe(true);
    expect(root.verify(root.publicKey)).toBe(true);
    expect(leaf.ca).toBe(false);
    expect(leaf.verify(root.publicKey)).toBe(true);
    expect(leaf.checkIssued(root)).toBe(true);
    expect(leaf.checkPrivateKey(server.privateKey)).toBe(true);
  });

  test('a leaf is valid for its names and addresses and no others', () => {
    const leaf = new X509Certificate(serverPem);
    expect(leaf.checkHost('localhost')).toBe('localhost');
    expect(leaf.checkHost('kube-apiserver')).toBeUndefined();
    expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(leaf.checkIP('::1')).toBe('::1');
    expect(leaf.checkIP('127.0.0.2')).toBeUndefined();
  });

  test('serial, validity and usages are what was asked for', () => {
    const leaf = new X509Certificate(serverPem);
    expect(leaf.serialNumber).toBe('7F02030405060708');
    expect(Date.parse(leaf.validFrom)).toBe(nowMs - 60_000);
    expect(Date.parse(leaf.validTo)).toBe(nowMs + dayMs);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  test('every day from 1970 to 2120 is written as it is', () => {
    // 37 and a half days in between: every month, leap years and their exceptions are met.
    const stepMs = 37.5 * dayMs + 1_000;
    for (let notAfterMs = 0; notAfterMs < Date.UTC(2120, 0, 1); notAfterMs += stepMs) {
      const sign = () => new Uint8Array(8);
      const leaf = new X509Certificate(createCertificate(template({ notAfterMs, sign })));
      expect(Date.parse(leaf.validTo)).toBe(Math.floor(notAfterMs / 1_000) * 1_000);
    }
    const leapDay = Date.UTC(2096, 1, 29, 23, 59, 59);
    const leaf = new X509Certificate(createCertificate(template({ notAfterMs: leapDay })));
    expect(Date.parse(leaf.validTo)).toBe(leapDay);
  });

  test('dates from 2050 on are written as GeneralizedTime', () => {
    const notAfterMs = Date.UTC(2051, 5, 1);
    const leaf = new X509Certificate(createCertificate(template({ notAfterMs })));
    expect(Date.parse(leaf.validTo)).toBe(notAfterMs);
  });

  test('a workload certificate has an empty subject and its SPIFFE id', () => {
    const leaf = new X509Certificate(workloadPem);
    expect(leaf.subject ?? '').toBe('');
    expect(leaf.subjectAltName).toBe(`URI:${workloadUri}, DNS:node-1.node.weft.dev`);
  });

  test('a name with a control character or a comma trick cannot be smuggled in', () => {
    const bad = (sans: readonly SubjectAltName[]) => () => createCertificate(template({ sans }));
    expect(bad([{ kind: 'dns', name: 'a\0b' }])).toThrow('BUG:');
    expect(bad([{ kind: 'dns', name: 'a,URI:spiffe://td/ns/a/sa/b' }])).toThrow('BUG:');
    expect(bad([{ kind: 'uri', uri: 'spiffe://td/ns/a/sa/b,DNS:x' }])).toThrow('BUG:');
    expect(bad([{ kind: 'ip', address: '127.0.0.01' }])).toThrow('BUG:');
  });

  test('keys of another curve or kind are refused', () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
    const publicKey = p384.export({ type: 'spki', format: 'der' });
    expect(p256Point(publicKey)).toBeUndefined();
    expect(() => createCertificate(template({ publicKey }))).toThrow('BUG:');
  });
});

describe('openssl', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-x509-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const file = (name: string, text: string) => {
    const path = join(dir, name);
    writeFileSync(path, text);
    return path;
  };
  const openssl = (...args: string[]) => execFileSync('openssl', args, { encoding: 'utf8' });
  const at = String(nowMs / 1000);
  const root = file('root.pem', rootPem);

  test.each([
    ['server', serverPem],
    ['workload', workloadPem],
  ])('verify -x509_strict accepts the %s certificate', (name, pem) => {
    const path = file(`${name}.pem`, pem);
    for (const purpose of ['sslserver', 'sslclient']) {
      const answer = openssl(
        'verify', '-x509_strict', '-attime', at, '-purpose', purpose, '-CAfile', root, path,
      );
      expect(answer).toContain('OK');
    }
  });

  test('the extension set of a workload certificate is exact', () => {
    const text = openssl('x509', '-noout', '-text', '-in', file('exact.pem', workloadPem));
    const names = [...text.matchAll(/^ {12}(X509v3 [^:]+): ?(critical)?/gm)].map(
      ([, name, critical]) => (critical === undefined ? name : `${name} critical`),
    );
    expect(names).toEqual([
      'X509v3 Basic Constraints critical',
      'X509v3 Key Usage critical',
      'X509v3 Extended Key Usage',
      'X509v3 Subject Key Identifier',
      'X509v3 Authority Key Identifier',
      'X509v3 Subject Alternative Name critical',
    ]);
    expect(text).toContain('Digital Signature\n');
    expect(text).not.toContain('Certificate Sign');
  });
});
