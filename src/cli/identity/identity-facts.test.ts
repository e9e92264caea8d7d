// What `weft identity` makes of roots, proxies and their pages.
// Nothing is read here: facts are made by hand.
import { describe, expect, test } from 'vitest';
import {
  identityRecord,
  identityTable,
  isIdentityWell,
  readExpiries,
  type IdentityFacts,
} from './identity-facts.ts';

const nowMs = Date.UTC(2024, 4, 6);
const hourMs = 3_600_000;
const web = 'spiffe://cluster.local/ns/shop/sa/web';
const own = 'spiffe://cluster.local/ns/weft-system/sa/weft-proxy';

const facts: IdentityFacts = {
  trustDomain: 'cluster.local',
  phase: 'adding',
  roots: [
    { fingerprint: 'a'.repeat(64), notAfterMs: nowMs + 48 * hourMs, isSigning: true },
    { fingerprint: 'b'.repeat(64), notAfterMs: nowMs + 72 * hourMs, isSigning: false },
  ],
  proxies: [
    {
      node: 'node-a',
      pod: 'weft-proxy-a',
      trusts: ['a'.repeat(64), 'b'.repeat(64)],
      certificates: [
        { identity: web, notAfterMs: nowMs + hourMs },
        { identity: own, notAfterMs: nowMs - hourMs },
      ],
    },
    { node: 'node-b', pod: 'weft-proxy-b', trusts: undefined, certificates: [] },
  ],
};

describe('the table', () => {
  test('says who signs, who trusts whom, and what has expired', () => {
    expect(identityTable(facts, nowMs).split('\n')).toEqual([
      'trust domain cluster.local, phase adding',
      '',
      'ROOT              EXPIRES',
      'aaaaaaaaaaaaaaaa  2024-05-08T00:00:00Z  signs',
      'bbbbbbbbbbbbbbbb  2024-05-09T00:00:00Z',
      '',
      'NODE    TRUSTS                             IDENTITY' + ' '.repeat(45) + 'EXPIRES',
      `node-a  aaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbb  ${web.padEnd(51)}  2024-05-06T01:00:00Z`,
      `${' '.repeat(43)}${own}  2024-05-05T23:00:00Z (expired)`,
      'node-b  no answer',
      '',
    ]);
  });

  test('of no bundle says who makes it', () => {
    expect(identityTable({ ...facts, trustDomain: undefined }, nowMs)).toContain('no trust bundle');
  });
});

describe('all is well', () => {
  const [first] = facts.proxies;
  const good = { ...facts, proxies: first === undefined ? [] : [{ ...first, certificates: [] }] };

  test.each([
    ['when everybody answers and nothing has expired', good, true],
    ['not when a proxy is silent', { ...facts, proxies: facts.proxies.slice(1) }, false],
    ['not when a certificate has expired', { ...facts, proxies: facts.proxies.slice(0, 1) }, false],
    ['not without a bundle', { ...good, trustDomain: undefined }, false],
  ])('%s', (_when, some, isWell) => {
    expect(isIdentityWell(some, nowMs)).toBe(isWell);
  });
});

test('machines get full fingerprints and times', () => {
  const record = identityRecord(facts);
  expect(record.roots[0]).toEqual({
    fingerprint: 'a'.repeat(64),
    notAfter: '2024-05-08T00:00:00Z',
    isSigning: true,
  });
  expect(record.proxies[1]).toEqual({
    node: 'node-b',
    pod: 'weft-proxy-b',
    trusts: null,
    certificates: [],
  });
});

test('certificates are read from the page of metrics, and nothing else of it', () => {
  const name = 'weft_certificate_expiry_timestamp_seconds';
  const page = [
    `# HELP ${name} x`,
    `${name}{identity="${web}"} 1714953600`,
    `${name}{identity="${own}"} 1.7149536e+09`,
    `${name}{identity="broken`,
    'weft_leader 1',
  ].join('\n');
  expect(readExpiries(page)).toEqual([
    { identity: web, notAfterMs: nowMs },
    { identity: own, notAfterMs: nowMs },
  ]);
});
