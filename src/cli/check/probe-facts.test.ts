// What the probe's answers mean, by example. That pods really run and say this is proven on a real
// cluster (test/e2e).
import { describe, expect, test } from 'vitest';
import { probeFindings, type ProbeFacts, type Said } from './probe-facts.ts';

function direct(seen: string): Said {
  const url = 'http://10.0.0.1:8080/direct';
  return { url, tookMs: 2, status: 200, reason: '', body: `{"seen":"${seen}"}` };
}

const meshUrl = 'http://probe.weft-check.mesh:8080/mesh';
const meshOk: Said = { url: meshUrl, tookMs: 9, status: 200, reason: '', body: '{}' };

function factsOf(lines: readonly Said[], asksMesh = true): ProbeFacts {
  return {
    nodes: ['node-1'],
    said: new Map([['node-1', lines]]),
    callers: new Map([['node-1', '10.0.0.2']]),
    asksMesh,
  };
}

function found(facts: ProbeFacts): readonly string[] {
  return probeFindings(facts).map(({ check, state }) => `${check} ${state}`);
}

describe('the probe', () => {
  test('all is well when the caller is seen by its own address and the mesh name answers', () => {
    expect(found(factsOf([direct('10.0.0.2'), meshOk]))).toEqual([
      'source-address ok',
      'mesh-call ok',
    ]);
  });

  test('an IPv4 address in IPv6 clothes is the same address', () => {
    expect(found(factsOf([direct('::ffff:10.0.0.2'), meshOk]))[0]).toBe('source-address ok');
  });

  test('a caller that is seen as somebody else fails, with both addresses', () => {
    const [finding] = probeFindings(factsOf([direct('10.0.0.254'), meshOk]));
    expect(finding?.state).toBe('failed');
    expect(finding?.message).toContain('10.0.0.2 and is seen as 10.0.0.254');
  });

  test('a name that does not resolve points to the DNS', () => {
    const unresolved: Said = { url: meshUrl, tookMs: 3, error: 'getaddrinfo ENOTFOUND probe' };
    const findings = probeFindings(factsOf([direct('10.0.0.2'), unresolved]));
    const finding = findings.find(({ check }) => check === 'mesh-call');
    expect(finding?.state).toBe('failed');
    expect(finding?.fix).toContain('DNS');
  });

  test('a refusal is told with its reason', () => {
    const refused: Said = { ...meshOk, status: 503, reason: 'NoEndpoints' };
    const findings = probeFindings(factsOf([direct('10.0.0.2'), refused]));
    const finding = findings.find(({ check }) => check === 'mesh-call');
    expect(finding?.message).toContain('503 NoEndpoints');
  });

  test('a node whose pods did not run is a warning, and nothing is claimed about it', () => {
    const facts = { ...factsOf([]), said: new Map(), callers: new Map() };
    expect(found(facts)).toEqual(['probe warning']);
  });

  test('before the installation no mesh name is asked for', () => {
    expect(found(factsOf([direct('10.0.0.2')], false))).toEqual(['source-address ok']);
  });
});
