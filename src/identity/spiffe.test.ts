// Vectors of SPIFFE ids: the one shape that is ours, and every way to write
// something that a lenient reader would take for it.
import { describe, expect, test } from 'vitest';
import { formatSpiffeId, isTrustDomain, parseSpiffeId } from './spiffe.ts';

describe('parseSpiffeId', () => {
  test.each([
    ['spiffe://cluster.local/ns/shop/sa/web', 'cluster.local', 'shop', 'web'],
    ['spiffe://td_1-a.b/ns/constructor/sa/a.b-c.d', 'td_1-a.b', 'constructor', 'a.b-c.d'],
  ])('%s is read and written back unchanged', (text, trustDomain, namespace, serviceAccount) => {
    const identity = parseSpiffeId(text);
    expect(identity).toEqual({ trustDomain, namespace, serviceAccount });
    expect(identity && formatSpiffeId(identity)).toBe(text);
  });

  test.each([
    ['empty', ''],
    ['another scheme', 'https://cluster.local/ns/shop/sa/web'],
    ['an upper-case scheme', 'SPIFFE://cluster.local/ns/shop/sa/web'],
    ['an upper-case trust domain', 'spiffe://Cluster.local/ns/shop/sa/web'],
    ['no trust domain', 'spiffe:///ns/shop/sa/web'],
    ['a port', 'spiffe://cluster.local:443/ns/shop/sa/web'],
    ['user information', 'spiffe://me@cluster.local/ns/shop/sa/web'],
    ['a query', 'spiffe://cluster.local/ns/shop/sa/web?x'],
    ['a fragment', 'spiffe://cluster.local/ns/shop/sa/web#x'],
    ['an escape', 'spiffe://cluster.local/ns/shop/sa/%77eb'],
    ['a dot segment', 'spiffe://cluster.local/ns/../sa/web'],
    ['a trailing slash', 'spiffe://cluster.local/ns/shop/sa/web/'],
    ['a segment more', 'spiffe://cluster.local/ns/shop/sa/web/x'],
    ['a segment less', 'spiffe://cluster.local/ns/shop/sa'],
    ['other segment names', 'spiffe://cluster.local/sa/shop/ns/web'],
    ['a trailing line feed', 'spiffe://cluster.local/ns/shop/sa/web\n'],
    ['a line feed in the namespace', 'spiffe://cluster.local/ns/shop\n/sa/web'],
    ['a long label', `spiffe://cluster.local/ns/${'a'.repeat(64)}/sa/web`],
    ['a long account', `spiffe://cluster.local/ns/shop/sa/${'a.'.repeat(126)}aa`],
    ['a long trust domain', `spiffe://${'a'.repeat(256)}/ns/shop/sa/web`],
  ])('refuses %s', (_what, text) => {
    expect(parseSpiffeId(text)).toBeUndefined();
  });
});

describe('formatSpiffeId', () => {
  test('does not write what it would not read', () => {
    const identity = { trustDomain: 'td', namespace: 'a/b', serviceAccount: 'web' };
    expect(formatSpiffeId(identity)).toBeUndefined();
  });
});

test('a trust domain is lower case, at most 255 bytes', () => {
  expect(isTrustDomain('cluster.local')).toBe(true);
  expect(isTrustDomain('Cluster.local')).toBe(false);
  expect(isTrustDomain('')).toBe(false);
});
