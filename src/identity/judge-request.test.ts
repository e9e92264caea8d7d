// Requests that get a certificate and those that must not.
import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { judgeRequest, requestUsages, workloadSigner } from './judge-request.ts';
import type { PodFacts } from './judge-request.ts';
import { createCertificateRequest } from './request.ts';

test('a proxy gets the identity of a pod of its node', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const requestPem = createCertificateRequest({
    publicKey: spki,
    sans: [
      { kind: 'uri', uri: 'spiffe://cluster.local/ns/shop/sa/web' },
      { kind: 'dns', name: 'node-1.node.weft.dev' },
    ],
    sign: (bytes) => sign('sha256', bytes, privateKey),
  });
  const pod: PodFacts = {
    meta: { namespace: 'shop', name: 'web-1', uid: 'u1' },
    nodeName: 'node-1',
    serviceAccount: 'web',
    phase: 'Running',
    isHostNetwork: false,
    isDeleting: false,
    hasRunningContainer: true,
    addresses: ['10.1.0.2'],
  };
  const proxy: PodFacts = {
    ...pod,
    meta: { namespace: 'weft-system', name: 'weft-proxy-a', uid: 'u2' },
    serviceAccount: 'weft-proxy',
  };
  const judgement = judgeRequest(
    {
      signerName: workloadSigner,
      username: 'system:serviceaccount:weft-system:weft-proxy',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:weft-system'],
      extra: new Map([
        ['authentication.kubernetes.io/pod-name', ['weft-proxy-a']],
        ['authentication.kubernetes.io/pod-uid', ['u2']],
        ['authentication.kubernetes.io/node-name', ['node-1']],
      ]),
      usages: requestUsages,
      expirationSeconds: undefined,
      requestPem,
    },
    { isLive: false, podNamed: () => proxy, podsOn: () => [pod], keyOwners: new Map() },
    {
      trustDomain: 'cluster.local',
      meshNamespace: 'weft-system',
      proxyServiceAccount: 'weft-proxy',
    },
  );
  expect(judgement).toMatchObject({ kind: 'sign', leaf: { node: 'node-1', publicKey: spki } });
});
