// Which requests get a certificate: the rule, and every way around it that we can think of. The
// object is what the API server has stamped; the request is made byte by byte where it is hostile.
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  craftRequest,
  dns,
  extension,
  extensions,
  isCa,
  keyPair,
  paired,
  pem,
  requestPem,
  tlv,
  uri,
  type CraftedRequest,
} from '../../test/support/crafted-certificates.ts';
import { judgeRequest, requestUsages, workloadSigner } from './judge-request.ts';
import type { DenialReason, IssueRules, PodFacts, RequestFacts } from './judge-request.ts';
import { createCertificateRequest, workloadNames } from './request.ts';
import type { SpiffeId } from './spiffe.ts';

const rules: IssueRules = {
  trustDomain: 'cluster.local',
  meshNamespace: 'weft-system',
  proxyServiceAccount: 'weft-proxy',
};
const key = keyPair();
const webId = 'spiffe://cluster.local/ns/shop/sa/web';
const proxyId = 'spiffe://cluster.local/ns/weft-system/sa/weft-proxy';

type PodChanges = Partial<Omit<PodFacts, 'meta'>> & Partial<PodFacts['meta']>;

function pod(changes: PodChanges): PodFacts {
  const { namespace = 'shop', name = 'web-1', uid = 'uid-web-1', ...others } = changes;
  return {
    meta: { namespace, name, uid },
    nodeName: 'node-1',
    serviceAccount: 'web',
    phase: 'Running',
    isHostNetwork: false,
    isDeleting: false,
    hasRunningContainer: true,
    addresses: ['10.1.0.2'],
    ...others,
  };
}

function proxy(changes: PodChanges = {}): PodFacts {
  return pod({
    namespace: 'weft-system',
    name: 'weft-proxy-a',
    uid: 'uid-proxy-a',
    serviceAccount: 'weft-proxy',
    ...changes,
  });
}

const stamp = 'authentication.kubernetes.io';
const podName = `${stamp}/pod-name`;
const podUid = `${stamp}/pod-uid`;
const nodeName = `${stamp}/node-name`;
const stamps: readonly (readonly [string, readonly string[]])[] = [
  [podName, ['weft-proxy-a']],
  [podUid, ['uid-proxy-a']],
  [nodeName, ['node-1']],
];

function stamped(name: string, ...values: readonly string[]): RequestFacts['extra'] {
  return new Map([...stamps, [name, values]]);
}

function without(...names: readonly string[]): ReadonlyMap<string, readonly string[]> {
  return new Map(stamps.filter(([name]) => !names.includes(name)));
}

function asking(text: string, node = 'node-1'): Partial<RequestFacts> {
  const sans = workloadNames(text as SpiffeId, node);
  const request = { publicKey: key.publicKey, sans, sign: signer(key.privateKey) };
  return { requestPem: createCertificateRequest(request) };
}

function signer(privateKey: Parameters<typeof sign>[2]) {
  return (bytes: Uint8Array) => sign('sha256', bytes, privateKey);
}

function request(changes: Partial<RequestFacts>): RequestFacts {
  return {
    signerName: workloadSigner,
    username: 'system:serviceaccount:weft-system:weft-proxy',
    groups: [
      'system:serviceaccounts',
      'system:serviceaccounts:weft-system',
      'system:authenticated',
    ],
    extra: new Map(stamps),
    usages: requestUsages,
    expirationSeconds: 86_400,
    requestPem: '',
    ...asking(webId),
    ...changes,
  };
}

type World = {
  readonly request?: Partial<RequestFacts>;
  readonly pods?: readonly PodFacts[];
  readonly keyOwners?: ReadonlyMap<string, string>;
};

function judge(world: World, isLive = true, mesh = rules) {
  const pods = world.pods ?? [proxy(), pod({})];
  const view = {
    isLive,
    podNamed: (namespace: string, name: string) =>
      pods.find(({ meta }) => meta.namespace === namespace && meta.name === name),
    // A store may answer with more than was asked for.
    podsOn: () => pods,
    keyOwners: world.keyOwners ?? new Map<string, string>(),
  };
  return judgeRequest(request(world.request ?? {}), view, mesh);
}

describe('a request is signed', () => {
  test.each<readonly [what: string, world: World]>([
    ['for a running pod of the node', {}],
    ['without a stamped node (before Kubernetes 1.30)', { request: { extra: without(nodeName) } }],
    ['without a duration', { request: { expirationSeconds: undefined } }],
    [
      'for a pending pod with an address: init containers call too',
      { pods: [proxy(), pod({ phase: 'Pending' })] },
    ],
    ['for a pod that ends but still runs', { pods: [proxy(), pod({ isDeleting: true })] }],
    [
      'when one pod of several is fit',
      { pods: [proxy(), pod({ name: 'web-0', phase: 'Failed' }), pod({})] },
    ],
    ['by a proxy that drains', { pods: [proxy({ isDeleting: true }), pod({})] }],
    [
      'for the proxy itself, before its address is known',
      { request: asking(proxyId), pods: [proxy({ phase: 'Pending', addresses: [] })] },
    ],
  ])('%s', (_what, world) => {
    expect(judge(world)).toMatchObject({ kind: 'sign', leaf: { node: 'node-1' } });
    expect(judge(world, false)).toMatchObject({ kind: 'sign' });
  });

  test('for exactly what was asked, and no longer', () => {
    const judgement = judge({ request: { expirationSeconds: 600 } });
    expect(judgement).toEqual({
      kind: 'sign',
      leaf: { spiffeId: webId, node: 'node-1', publicKey: key.publicKey, lifetimeMs: 600_000 },
      keyFingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      keyOwner: `${webId} node-1`,
      requester: { namespace: 'weft-system', name: 'weft-proxy-a', uid: 'uid-proxy-a' },
    });
  });

  test('again with the same key for the same identity', () => {
    const first = judge({});
    if (first.kind !== 'sign') throw new Error('not signed');
    const keyOwners = new Map([[first.keyFingerprint, first.keyOwner]]);
    expect(judge({ keyOwners }).kind).toBe('sign');
  });
});

type Row = readonly [what: string, reason: DenialReason, world: World];
const sans = (...names: readonly Buffer[]): World => ({
  request: { requestPem: requestPem(key, [extensions.names(names)]) },
});
const node = dns('node-1.node.weft.dev');
const asked = uri(webId);

/** No look at pods can change these. */
const finalRows: readonly Row[] = [
  [
    'by another service account of the mesh',
    'RequesterNotProxy',
    { request: { username: 'system:serviceaccount:weft-system:weft-controller' } },
  ],
  [
    'by the proxy account of another namespace',
    'RequesterNotProxy',
    { request: { username: 'system:serviceaccount:shop:weft-proxy' } },
  ],
  ['by a person', 'RequesterNotProxy', { request: { username: 'admin' } }],
  [
    'by a client certificate that bears the name alone',
    'RequesterNotProxy',
    { request: { groups: ['system:authenticated'] } },
  ],
  ['with an unbound token', 'RequesterUnbound', { request: { extra: new Map() } }],
  ['with no pod uid', 'RequesterUnbound', { request: { extra: without(podUid) } }],
  ['with an empty pod uid', 'RequesterUnbound', { request: { extra: stamped(podUid, '') } }],
  ['with no pod name', 'RequesterUnbound', { request: { extra: without(podName) } }],
  [
    'with two pod names',
    'RequesterUnbound',
    { request: { extra: stamped(podName, 'weft-proxy-a', 'weft-proxy-b') } },
  ],
  [
    'with two nodes',
    'RequesterUnbound',
    { request: { extra: stamped(nodeName, 'node-1', 'node-2') } },
  ],
  ['with an empty node', 'RequesterUnbound', { request: { extra: stamped(nodeName, '') } }],
  ['for more usages', 'UsagesRefused', { request: { usages: [...requestUsages, 'cert sign'] } }],
  ['for fewer usages', 'UsagesRefused', { request: { usages: ['client auth'] } }],
  [
    'for one usage three times',
    'UsagesRefused',
    { request: { usages: ['client auth', 'client auth', 'client auth'] } },
  ],
  ['for ten years', 'DurationRefused', { request: { expirationSeconds: 315_360_000 } }],
  ['for a minute', 'DurationRefused', { request: { expirationSeconds: 60 } }],
  ['for no number', 'DurationRefused', { request: { expirationSeconds: Number.NaN } }],
  ['of 1 MB', 'RequestTooLarge', { request: { requestPem: 'A'.repeat(1_000_000) } }],
  ['of two blocks', 'RequestTooLarge', twice()],
  ['that is empty', 'RequestMalformed', { request: { requestPem: '' } }],
  ['that is a certificate', 'RequestMalformed', { request: { requestPem: pem(asked) } }],
  ['with text around it', 'RequestMalformed', { request: { requestPem: `hello\n${goodPem()}` } }],
  ['with base64 that is padded', 'RequestMalformed', { request: { requestPem: loose() } }],
  [
    'with bytes after its end',
    'RequestMalformed',
    { request: { requestPem: pem(trailing(), 'CERTIFICATE REQUEST') } },
  ],
  [
    'signed by another key',
    'RequestSignatureInvalid',
    { request: { requestPem: requestPem(key, [extensions.names([asked, node])], keyPair()) } },
  ],
  ['of version 2', 'RequestMalformed', bent({ version: 1 })],
  [
    'whose signature claims another hash',
    'RequestSignatureInvalid',
    bent({ algorithm: '1.2.840.10045.4.3.3' }),
  ],
  [
    'for a key on P-384',
    'RequestKeyRefused',
    { request: { requestPem: requestPem(keyPair('P-384'), [extensions.names([asked, node])]) } },
  ],
  [
    'for a weak RSA key',
    'RequestKeyRefused',
    { request: { requestPem: requestPem(weak(), [extensions.names([asked, node])]) } },
  ],
  [
    'for a point that is not on the curve',
    'RequestSignatureInvalid',
    { request: { requestPem: requestPem(offCurve(), [extensions.names([asked, node])], key) } },
  ],
  [
    'with a subject',
    'RequestSubjectNotEmpty',
    { request: { requestPem: subjectPem() } },
  ],
  [
    'for an authority',
    'RequestExtensionRefused',
    {
      request: {
        requestPem: requestPem(key, [extensions.names([asked, node]), extensions.basic(isCa)]),
      },
    },
  ],
  [
    'with an extension that nobody knows',
    'RequestExtensionRefused',
    {
      request: {
        requestPem: requestPem(key, [
          extensions.names([asked, node]),
          extension('1.2.3.4', tlv(0x05)),
        ]),
      },
    },
  ],
  [
    'with a challenge password',
    'RequestExtensionRefused',
    { request: { requestPem: passwordPem() } },
  ],
  ['with an address', 'RequestNameRefused', sans(asked, node, tlv(0x87, Buffer.of(10, 0, 0, 1)))],
  ['with an e-mail address', 'RequestNameRefused', sans(asked, node, tlv(0x81, 'a@b.example'))],
  ['with no URI', 'SpiffeIdCount', sans(node)],
  ['with two URIs', 'SpiffeIdCount', sans(asked, uri(proxyId), node)],
  ['with a query', 'SpiffeIdRefused', sans(uri(`${webId}?x`), node)],
  ['with a fragment', 'SpiffeIdRefused', sans(uri(`${webId}#x`), node)],
  [
    'with user information',
    'SpiffeIdRefused',
    sans(uri('spiffe://me@cluster.local/ns/shop/sa/web'), node),
  ],
  ['with %2e', 'SpiffeIdRefused', sans(uri('spiffe://cluster.local/ns/%2e%2e/sa/web'), node)],
  ['with dot segments', 'SpiffeIdRefused', sans(uri(`${webId}/../admin`), node)],
  [
    'with an upper-case trust domain',
    'SpiffeIdRefused',
    sans(uri('spiffe://Cluster.Local/ns/shop/sa/web'), node),
  ],
  [
    'of another trust domain',
    'TrustDomainForeign',
    sans(uri('spiffe://other.local/ns/shop/sa/web'), node),
  ],
  ['with no node', 'NodeNameCount', sans(asked)],
  ['with two DNS names', 'NodeNameCount', sans(asked, node, dns('web.shop.mesh'))],
  ['with a wildcard node', 'NodeNameRefused', sans(asked, dns('*.node.weft.dev'))],
  ['with a DNS name of a service', 'NodeNameRefused', sans(asked, dns('web.shop.svc'))],
];

/** These depend on pods: no denial before the API server itself was asked. */
const podRows: readonly Row[] = [
  ['by a pod that is no more', 'RequesterPodUnknown', { pods: [pod({})] }],
  [
    'by a pod whose name has gone to another',
    'RequesterPodUnknown',
    { pods: [proxy({ uid: 'uid-proxy-b' }), pod({})] },
  ],
  [
    'by a pod with another service account',
    'RequesterPodMismatch',
    { pods: [proxy({ serviceAccount: 'default' }), pod({})] },
  ],
  [
    'by a pod that is not on the stamped node',
    'RequesterPodMismatch',
    { pods: [proxy({ nodeName: 'node-2' }), pod({})] },
  ],
  ['by a pod on no node', 'RequesterPodMismatch', { pods: [proxy({ nodeName: '' }), pod({})] }],
  [
    'by a pod on no node, with a token without one',
    'RequesterPodMismatch',
    { request: { extra: without(nodeName) }, pods: [proxy({ nodeName: '' }), pod({})] },
  ],
  [
    'by a pod that has ended',
    'RequesterPodMismatch',
    { pods: [proxy({ phase: 'Failed' }), pod({})] },
  ],
  [
    'for another node than the own',
    'NodeMismatch',
    { request: asking(webId, 'node-2'), pods: [proxy(), pod({ nodeName: 'node-2' })] },
  ],
  [
    'for another node by a token without one',
    'NodeMismatch',
    {
      request: { ...asking(webId, 'node-2'), extra: without(nodeName) },
      pods: [proxy(), pod({ nodeName: 'node-2' })],
    },
  ],
  [
    'for the proxy of another node',
    'NodeMismatch',
    { request: asking(proxyId, 'node-2') },
  ],
  ['for nobody here', 'PodMissing', { pods: [proxy()] }],
  [
    'for `default`, which a mirror pod without an account is not',
    'PodMissing',
    {
      request: asking('spiffe://cluster.local/ns/shop/sa/default'),
      pods: [proxy(), pod({ serviceAccount: '' })],
    },
  ],
  [
    'for an identity that only another node has',
    'PodMissing',
    { pods: [proxy(), pod({ nodeName: 'node-2' })] },
  ],
  [
    'for the account of another namespace',
    'PodMissing',
    { pods: [proxy(), pod({ namespace: 'shop-b' })] },
  ],
  [
    'for another account of a namespace that is here',
    'PodMissing',
    { pods: [proxy(), pod({ serviceAccount: 'admin' })] },
  ],
  [
    'for a hostNetwork pod alone',
    'PodHostNetwork',
    { pods: [proxy(), pod({ isHostNetwork: true })] },
  ],
  ['for a completed pod', 'PodNotRunning', { pods: [proxy(), pod({ phase: 'Succeeded' })] }],
  ['for a failed pod', 'PodNotRunning', { pods: [proxy(), pod({ phase: 'Failed' })] }],
  ['for a pod of a lost node', 'PodNotRunning', { pods: [proxy(), pod({ phase: 'Unknown' })] }],
  [
    'for a deleted pod whose containers have ended',
    'PodNotRunning',
    { pods: [proxy(), pod({ isDeleting: true, hasRunningContainer: false })] },
  ],
  [
    'for a pending pod without an address',
    'PodWithoutAddress',
    { pods: [proxy(), pod({ phase: 'Pending', addresses: [] })] },
  ],
];

describe('a request is denied', () => {
  test.each(finalRows)('%s: %s', (_what, reason, world) => {
    const judgement = judge(world, false);
    expect(judgement).toMatchObject({ kind: 'deny', reason });
    expect(judge(world)).toEqual(judgement);
  });

  test.each(podRows)('%s: %s, after a live look', (_what, reason, world) => {
    expect(judge(world, false)).toMatchObject({
      kind: 'look-live',
      requester: { namespace: 'weft-system', name: 'weft-proxy-a' },
      reason,
    });
    expect(judge(world)).toMatchObject({ kind: 'deny', reason });
  });

  test('for a second identity of one key', () => {
    const first = judge({});
    if (first.kind !== 'sign') throw new Error('not signed');
    const keyOwners = new Map([[first.keyFingerprint, first.keyOwner]]);
    const world = { request: asking(proxyId), keyOwners };
    expect(judge(world)).toMatchObject({ kind: 'deny', reason: 'KeyReused' });
  });

  test('with a message of one line, without text of the request unescaped', () => {
    for (const [, , world] of [...finalRows, ...podRows]) {
      const judgement = judge(world);
      if (judgement.kind !== 'deny') throw new Error('not denied');
      expect(judgement.message).toMatch(/^[ -~–’]{10,400}$/);
    }
  });
});

test('where to look is known even when the view knows nothing', () => {
  expect(judge({ pods: [] }, false)).toMatchObject({ nodeName: 'node-1', namespace: 'shop' });
  const extra = without(nodeName);
  expect(judge({ pods: [], request: { extra } }, false)).toMatchObject({ nodeName: undefined });
  expect(judge({ pods: [proxy()], request: { extra } }, false)).toMatchObject({
    nodeName: 'node-1',
  });
});

test('requests for other signers are not touched', () => {
  const signerName = 'kubernetes.io/kube-apiserver-client';
  expect(judge({ request: { signerName, username: 'admin' } })).toEqual({ kind: 'ignore' });
});

test('names that are properties of every object are names like others', () => {
  const text = 'spiffe://cluster.local/ns/constructor/sa/constructor';
  const pods = [proxy(), pod({ namespace: 'constructor', serviceAccount: 'constructor' })];
  expect(judge({ request: asking(text), pods }).kind).toBe('sign');
});

function goodPem(): string {
  return requestPem(key, [extensions.names([asked, node])]);
}

function bent(changes: Partial<CraftedRequest>): World {
  const der = craftRequest({ key, extensions: [extensions.names([asked, node])], ...changes });
  return { request: { requestPem: pem(der, 'CERTIFICATE REQUEST') } };
}

function twice(): World {
  return { request: { requestPem: goodPem().repeat(2) } };
}

function loose(): string {
  return goodPem().replace('\nM', '\n M');
}

function trailing(): Buffer {
  return Buffer.concat([craftRequest({ key, extensions: [] }), Buffer.of(0)]);
}

function weak() {
  return paired(generateKeyPairSync('rsa', { modulusLength: 1024 }));
}

function offCurve() {
  const publicKey = Buffer.from(key.publicKey);
  publicKey[publicKey.length - 1] = (publicKey.at(-1) ?? 0) ^ 1;
  return { publicKey, privateKey: key.privateKey };
}

function subjectPem(): string {
  const names = [extensions.names([asked, node])];
  const subject = tlv(0x30, tlv(0x31, tlv(0x30, tlv(0x06, '\x55\x04\x03'), tlv(0x0c, 'web'))));
  return pem(craftRequest({ key, extensions: names, subject }), 'CERTIFICATE REQUEST');
}

function passwordPem(): string {
  const names = [extensions.names([asked, node])];
  const password = tlv(
    0x30,
    tlv(0x06, Buffer.from('2a864886f70d010907', 'hex')),
    tlv(0x31, tlv(0x13, 'secret')),
  );
  return pem(craftRequest({ key, extensions: names, more: password }), 'CERTIFICATE REQUEST');
}
