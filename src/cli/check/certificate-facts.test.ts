// What `weft check` says of certificates, one law per finding. Facts are made by hand; that they
// are read rightly is seen on a real cluster.
import { describe, expect, test } from 'vitest';
import type { IdentityFacts, ProxyIdentities } from '../identity/identity-facts.ts';
import { certificateFindings, type CertificateFacts } from './certificate-facts.ts';

const hourMs = 3_600_000;
const nowMs = 1_000 * hourMs;
const own = 'spiffe://cluster.local/ns/weft-system/sa/weft-proxy';
const web = 'spiffe://cluster.local/ns/shop/sa/web';

function proxyOn(node: string, hoursLeft: number, ids: readonly string[] = [own, web]) {
  const notAfterMs = nowMs + hoursLeft * hourMs;
  const certificates = ids.map((identity) => ({ identity, notAfterMs }));
  return { node, pod: `weft-proxy-${node}`, trusts: ['aa'], certificates };
}

const identity: IdentityFacts = {
  trustDomain: 'cluster.local',
  phase: 'steady',
  roots: [{ fingerprint: 'aa'.repeat(32), notAfterMs: nowMs + 80_000 * hourMs, isSigning: true }],
  proxies: [proxyOn('node-1', 17), proxyOn('node-2', 23)],
};

const good: CertificateFacts = {
  meshNamespace: 'weft-system',
  nowMs,
  mode: 'permissive',
  without: [],
  identity,
  wanted: new Map(['node-1', 'node-2'].map((node) => [node, [own, web]])),
};

/** `state: message`, of a mesh that is well but for this. */
function told(facts: Partial<CertificateFacts>): readonly string[] {
  return certificateFindings({ ...good, ...facts }).flatMap(({ check, state, message }) =>
    check === 'certificates' ? [`${state}: ${message}`] : [],
  );
}

function withProxies(...proxies: readonly ProxyIdentities[]): Partial<CertificateFacts> {
  return { identity: { ...identity, proxies } };
}

describe('certificates', () => {
  test('that are all there are one line that says when the first ends', () => {
    expect(told({})).toEqual([
      'ok: 2 proxies hold all the certificates that they need, the first ends in 17 h',
    ]);
  });

  test.each([
    ['off', /^mutual TLS is off \(--mtls off\): calls between nodes are plain/],
    ['permissive', /^permissive: plain to nodes without a proxy/],
    ['strict', /^strict: nothing between nodes is plain/],
  ] as const)('are needed in every mode; that it is %s is said', (mode, expected) => {
    const [first] = certificateFindings({ ...good, mode });
    expect(first).toMatchObject({ check: 'mutual-tls', state: 'ok' });
    expect(first?.message).toMatch(expected);
  });

  test('of builds that have none are missing, and that is said', () => {
    const [line] = told({ identity: undefined, without: ['weft-proxy-a'] });
    expect(line).toMatch(/^ok: mutual TLS is off \(proxies of a build before it\)/);
  });

  test('of no proxy that answers nothing is said', () => {
    expect(told({ identity: undefined })).toEqual([]);
  });

  test('proxies of which some have mutual TLS and some have not are a warning', () => {
    const lines = told({ without: ['weft-proxy-c'] });
    expect(lines[1]).toMatch(/^warning: no certificates in weft-proxy-c/);
  });

  test('one that is missing is named with its node, and the other nodes are still well', () => {
    const lines = told(withProxies(proxyOn('node-1', 17, [own]), proxyOn('node-2', 23)));
    expect(lines).toEqual([
      'ok: 1 proxies hold all the certificates that they need, the first ends in 23 h',
      `failed: node-1 has no certificate for ${web}`,
    ]);
  });

  test('one that ends in less than six hours is a warning, one that has ended a failure', () => {
    expect(told(withProxies(proxyOn('node-1', 5.5, [web]), proxyOn('node-2', 23)))).toContain(
      `warning: node-1: the certificate of ${web} ends in 5.5 h`,
    );
    const ended = { ...withProxies(proxyOn('node-1', -1, [web])), wanted: new Map() };
    expect(told(ended)).toEqual([`failed: node-1: the certificate of ${web} has expired`]);
  });

  test('a proxy that does not answer is not counted: that is said elsewhere', () => {
    const silent = { ...proxyOn('node-1', 1, []), trusts: undefined };
    expect(told(withProxies(silent))).toEqual([]);
  });

  test('a root that ends within 30 days is a warning, no bundle at all a failure', () => {
    const notAfterMs = nowMs + 240 * hourMs;
    const root = { fingerprint: 'bb'.repeat(32), notAfterMs, isSigning: true };
    expect(told({ identity: { ...identity, roots: [root] } })[1]).toBe(
      'warning: root bbbbbbbbbbbbbbbb ends in 10 days',
    );
    expect(told({ identity: { ...identity, trustDomain: undefined, roots: [] } })[1]).toMatch(
      /^failed: there is no trust bundle/,
    );
  });

  test('of many that are missing three are named', () => {
    const wanted = new Map([['node-1', [1, 2, 3, 4, 5].map((at) => `spiffe://x/ns/a/sa/s${at}`)]]);
    expect(told({ wanted })[1]).toMatch(/s1, .*s2, .*s3 and 2 more$/);
  });
});
