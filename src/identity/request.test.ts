// Requests as others see them: openssl reads and verifies ours, and we read those of openssl.
// Bad ones are in the table of judge-request.test.ts.
import { execFileSync } from 'node:child_process';
import { sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { keyPair } from '../../test/support/crafted-certificates.ts';
import { readCertificateRequest } from './read-request.ts';
import { createCertificateRequest, workloadNames } from './request.ts';
import type { SpiffeId } from './spiffe.ts';

const dir = mkdtempSync(join(tmpdir(), 'weft-request-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const key = keyPair();
const spiffeId = 'spiffe://cluster.local/ns/shop/sa/web' as SpiffeId;
const pem = createCertificateRequest({
  publicKey: key.publicKey,
  sans: workloadNames(spiffeId, 'node-1'),
  sign: (bytes) => sign('sha256', bytes, key.privateKey),
});
const limits = { bytesMax: 8_192 };

test('openssl verifies a request of ours and finds its names', () => {
  const path = join(dir, 'ours.csr');
  writeFileSync(path, pem);
  const args = ['req', '-in', path, '-noout', '-verify', '-text'];
  const text = execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
  expect(text).toMatch(/Subject: ?\n/);
  expect(text).toContain('URI:spiffe://cluster.local/ns/shop/sa/web, DNS:node-1.node.weft.dev');
  expect(text).toMatch(/Subject Alternative Name: critical/);
});

test('what is written is read back', () => {
  expect(readCertificateRequest(pem, limits)).toEqual({
    kind: 'request',
    publicKey: key.publicKey,
    uris: [spiffeId],
    dnsNames: ['node-1.node.weft.dev'],
  });
});

test('a request that openssl has made for the same names is read like ours', () => {
  const at = (name: string) => join(dir, name);
  const config = [
    '[req]', 'prompt=no', 'distinguished_name=dn', 'req_extensions=ext', '[dn]', '[ext]',
    'subjectAltName=critical,URI:spiffe://cluster.local/ns/shop/sa/web,DNS:node-1.node.weft.dev',
  ];
  writeFileSync(at('req.cnf'), config.join('\n'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at('key.pem'));
  const files = ['-key', at('key.pem'), '-config', at('req.cnf'), '-out', at('theirs.csr')];
  openssl('req', '-new', '-sha256', '-subj', '/', ...files);
  expect(readCertificateRequest(readFileSync(at('theirs.csr'), 'utf8'), limits)).toMatchObject({
    kind: 'request',
    uris: [spiffeId],
    dnsNames: ['node-1.node.weft.dev'],
  });
});

test('no request names a node that a certificate cannot', () => {
  for (const node of ['', 'Node-1', 'a..b', `${'a.'.repeat(119)}aa`, '*']) {
    expect(() => workloadNames(spiffeId, node)).toThrow('BUG:');
  }
});
