// What is read from a CertificateSigningRequest, and what is written into one.
// Objects are as an API server gives them, or as nobody should.
import { describe, expect, test } from 'vitest';
import { judgeRequest } from '../../identity/control.ts';
import {
  hasCondition,
  readEntry,
  readRequestFacts,
  withCertificate,
  withVerdict,
} from './request-object.ts';

const proxy = 'system:serviceaccount:weft-system:weft-proxy';
const stamps = {
  'authentication.kubernetes.io/node-name': ['node-1'],
  'authentication.kubernetes.io/pod-name': ['weft-proxy-x'],
  'authentication.kubernetes.io/pod-uid': ['u-1'],
};

function request(spec: object = {}, status: object = {}) {
  return {
    kind: 'CertificateSigningRequest',
    metadata: {
      name: 'weft-1',
      uid: 'uid-1',
      resourceVersion: '7',
      creationTimestamp: '2024-05-06T07:08:09Z',
      labels: { a: 'b' },
    },
    spec: { signerName: 'weft.dev/workload', username: proxy, extra: stamps, ...spec },
    status,
  };
}

describe('the queue', () => {
  test('knows a proxy by the node that is stamped', () => {
    expect(readEntry(request(), proxy)).toEqual({
      name: 'weft-1',
      uid: 'uid-1',
      requester: { kind: 'node', name: 'node-1' },
      createdMs: Date.UTC(2024, 4, 6, 7, 8, 9),
      state: 'pending',
      pod: { name: 'weft-proxy-x', uid: 'u-1' },
    });
  });

  test('knows everybody else by name, whatever node a token names', () => {
    const entry = readEntry(request({ username: 'mallory' }), proxy);
    expect(entry?.requester).toEqual({ kind: 'user', name: 'mallory' });
    expect(entry?.pod).toBeUndefined();
  });

  test('knows a proxy without a stamped node by name', () => {
    const entry = readEntry(request({ extra: {} }), proxy);
    expect(entry?.requester).toEqual({ kind: 'user', name: proxy });
  });

  test.each([
    [{}, 'pending'],
    [{ conditions: [{ type: 'Approved', status: 'True' }] }, 'pending'],
    [{ conditions: [{ type: 'Approved', status: 'True' }], certificate: 'eA==' }, 'issued'],
    [{ conditions: [{ type: 'Denied', status: 'True' }] }, 'refused'],
    [{ conditions: [{ type: 'Failed', status: 'True' }] }, 'refused'],
  ])('%j is %s', (status, state) => {
    expect(readEntry(request({}, status), proxy)?.state).toBe(state);
  });

  test('forgets what is on its way out', () => {
    const { metadata, ...rest } = request();
    const leaving = { ...metadata, deletionTimestamp: '2024-05-06T07:08:09Z' };
    expect(readEntry({ ...rest, metadata: leaving }, proxy)).toBeUndefined();
  });

  test.each([undefined, null, 7, 'x', [], {}, { metadata: {} }])('%j is no request', (value) => {
    expect(readEntry(value, proxy)).toBeUndefined();
  });
});

describe('the judgement', () => {
  test('gets all values of a stamp, so that two of them are seen', () => {
    const extra = { 'authentication.kubernetes.io/pod-uid': ['a', 'b'], other: 'text' };
    const facts = readRequestFacts(request({ extra }));
    expect(facts.extra.get('authentication.kubernetes.io/pod-uid')).toEqual(['a', 'b']);
    expect(facts.extra.get('other')).toEqual([]);
  });

  test('gets a request of a megabyte cut, and still too long', () => {
    const facts = readRequestFacts({
      ...request({
        groups: ['system:serviceaccounts:weft-system'],
        usages: ['digital signature', 'client auth', 'server auth'],
        request: Buffer.alloc(1 << 20, 'A').toString('base64'),
      }),
    });
    expect(facts.requestPem.length).toBeLessThan(20_000);
    const nobody = {
      isLive: true,
      podNamed: () => undefined,
      podsOn: () => [],
      keyOwners: new Map<string, string>(),
    };
    const rules = {
      trustDomain: 'cluster.local',
      meshNamespace: 'weft-system',
      proxyServiceAccount: 'weft-proxy',
    };
    expect(judgeRequest(facts, nobody, rules)).toMatchObject({ reason: 'RequestTooLarge' });
  });

  test('gets what is not there as nothing, and no type that is none', () => {
    const facts = readRequestFacts({ spec: { usages: [1, 'x'], expirationSeconds: 'ten' } });
    expect(facts).toMatchObject({ username: '', usages: ['x'], requestPem: '' });
    expect(facts.expirationSeconds).toBeNaN();
  });
});

describe('a write', () => {
  const verdict = { reason: 'PodOnNode', message: 'a pod', nowMs: Date.UTC(2024, 4, 6, 7, 8, 9) };

  test('adds a condition and leaves all else as it is', () => {
    const former = { type: 'Approved', status: 'True', reason: 'Somebody' };
    const object = request({}, { conditions: [former] });
    const written = withVerdict(object, { type: 'Failed', ...verdict });
    expect(written).toEqual({
      ...object,
      status: {
        conditions: [
          former,
          {
            type: 'Failed',
            status: 'True',
            reason: 'PodOnNode',
            message: 'a pod',
            lastUpdateTime: '2024-05-06T07:08:09Z',
            lastTransitionTime: '2024-05-06T07:08:09Z',
          },
        ],
      },
    });
    expect(hasCondition(written, 'Failed')).toBe(true);
    expect(hasCondition(object, 'Failed')).toBe(false);
  });

  test('of a certificate keeps the conditions', () => {
    const object = request({}, { conditions: [{ type: 'Approved', status: 'True' }] });
    expect(withCertificate(object, 'PEM')).toEqual({
      ...object,
      status: { ...object.status, certificate: 'UEVN' },
    });
  });
});
