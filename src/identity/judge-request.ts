// Whether a CertificateSigningRequest may be signed, and for what: a pure decision from the object,
// the pods that the API server knows, and the mesh's own names. Only what the API server itself has
// stamped (`spec.username`, `spec.groups`, `spec.extra`) says who asks; conditions on the object,
// whoever set them, are no evidence and are not even an argument.
//
// The rule: a proxy gets the identities that have a pod on its own node, bound to that node, and
// its own. A stale view of pods may say yes a moment too long, but never no: before a denial that
// depends on pods the caller has to look at the API server itself (`look-live`).
import { createHash } from 'node:crypto';
import { boundNodeOf, isSubdomain } from './names.ts';
import { readCertificateRequest } from './read-request.ts';
import type { ParsedRequest, RequestRefusal } from './read-request.ts';
import { quoted, refused } from './refusal.ts';
import type { Refused } from './refusal.ts';
import { parseSpiffeId } from './spiffe.ts';
import type { SpiffeId, WorkloadIdentity } from './spiffe.ts';

/** The signer that proxies name in their requests. */
export const workloadSigner = 'weft.dev/workload';

/** `spec.usages` of every request, in this order. */
export const requestUsages = ['digital signature', 'client auth', 'server auth'] as const;

/** What of a CertificateSigningRequest counts. */
export type RequestFacts = {
  readonly signerName: string;
  readonly username: string;
  readonly groups: readonly string[];
  readonly extra: ReadonlyMap<string, readonly string[]>;
  readonly usages: readonly string[];
  readonly expirationSeconds: number | undefined;
  /** `spec.request` after base64. */
  readonly requestPem: string;
};

/** What of a pod counts; a parsed Pod has this form. */
export type PodFacts = {
  readonly meta: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Empty: not scheduled. */
  readonly nodeName: string;
  readonly serviceAccount: string;
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  readonly isHostNetwork: boolean;
  readonly isDeleting: boolean;
  readonly hasRunningContainer: boolean;
  readonly addresses: readonly string[];
};

/** The pods as somebody knows them: a watch, or the API server's answer to `look-live`. */
export type PodView = {
  /** Whether the answers were read from the API server for this very judgement. */
  readonly isLive: boolean;
  readonly podNamed: (namespace: string, name: string) => PodFacts | undefined;
  /** Pods of a namespace on a node; more than those do no harm. */
  readonly podsOn: (nodeName: string, namespace: string) => readonly PodFacts[];
  /** Owner of each key that was certified lately, by `keyFingerprint`: one key, one identity. */
  readonly keyOwners: ReadonlyMap<string, string>;
};

export type IssueRules = {
  readonly trustDomain: string;
  readonly meshNamespace: string;
  readonly proxyServiceAccount: string;
};

/** What the issuer signs; everything else of the certificate is its own. */
export type LeafTemplate = {
  readonly spiffeId: SpiffeId;
  readonly node: string;
  /** SubjectPublicKeyInfo of a P-256 key. */
  readonly publicKey: Uint8Array;
  readonly lifetimeMs: number;
};

/** Why a request is denied: `reason` of its condition. */
export type DenialReason =
  | RequestRefusal
  | 'RequesterNotProxy'
  | 'RequesterUnbound'
  | 'RequesterPodUnknown'
  | 'RequesterPodMismatch'
  | 'UsagesRefused'
  | 'DurationRefused'
  | 'SpiffeIdCount'
  | 'SpiffeIdRefused'
  | 'TrustDomainForeign'
  | 'NodeNameCount'
  | 'NodeNameRefused'
  | 'NodeMismatch'
  | 'KeyReused'
  | 'PodMissing'
  | 'PodHostNetwork'
  | 'PodNotRunning'
  | 'PodWithoutAddress';

export type RequestJudgement =
  | {
      readonly kind: 'sign';
      readonly leaf: LeafTemplate;
      /** For `keyOwners` and the audit log. */
      readonly keyFingerprint: string;
      readonly keyOwner: string;
      /** The proxy pod that asked, for the audit log. */
      readonly requester: PodName & { readonly uid: string };
    }
  | { readonly kind: 'deny'; readonly reason: DenialReason; readonly message: string }
  /** Read the requester's pod and the pods of `namespace` on `nodeName`, then judge again. */
  | {
      readonly kind: 'look-live';
      readonly requester: PodName;
      /** `undefined` when the view does not know the requester's pod, and its token no node. */
      readonly nodeName: string | undefined;
      readonly namespace: string;
      readonly reason: DenialReason;
    }
  /** Another signer's request: not ours to touch. */
  | { readonly kind: 'ignore' };

export type PodName = { readonly namespace: string; readonly name: string };

/** Kubernetes takes no less than 10 minutes; a leaf lives 24 h unless less is asked for. */
const lifetimeSecondsMin = 600;
const lifetimeSecondsMax = 86_400;
/** Ours have 700 bytes. */
const requestBytesMax = 8_192;

const podNameKey = 'authentication.kubernetes.io/pod-name';
/** Key of `spec.extra`. */
export const podUidKey = 'authentication.kubernetes.io/pod-uid';
const nodeNameKey = 'authentication.kubernetes.io/node-name';

/** Who asks, as the API server has stamped it. */
type Requester = PodName & { readonly uid: string; readonly nodeName: string | undefined };
/** What is asked for, well formed, of nobody yet. */
type Claim = {
  readonly identity: WorkloadIdentity;
  readonly spiffeId: SpiffeId;
  readonly node: string;
  readonly publicKey: Uint8Array;
  readonly lifetimeMs: number;
};
type Denied = Refused<DenialReason>;

/** The decision on one request. */
export function judgeRequest(
  request: RequestFacts,
  pods: PodView,
  rules: IssueRules,
): RequestJudgement {
  if (request.signerName !== workloadSigner) return { kind: 'ignore' };
  const requester = readRequester(request, rules);
  if (requester.kind === 'refused') return deny(requester);
  const claim = readClaim(request, rules);
  if (claim.kind === 'refused') return deny(claim);
  const keyFingerprint = createHash('sha256').update(claim.publicKey).digest('hex');
  const keyOwner = `${claim.spiffeId} ${claim.node}`;
  if ((pods.keyOwners.get(keyFingerprint) ?? keyOwner) !== keyOwner) {
    return deny(refused('KeyReused', 'this key has another identity; make a key for each one'));
  }
  const obstacle = podObstacle(requester, claim, pods, rules);
  const { namespace, name, uid } = requester;
  if (obstacle === undefined) {
    const { spiffeId, node, publicKey, lifetimeMs } = claim;
    const leaf = { spiffeId, node, publicKey, lifetimeMs };
    return { kind: 'sign', leaf, keyFingerprint, keyOwner, requester: { namespace, name, uid } };
  }
  if (pods.isLive) return deny(obstacle);
  return {
    kind: 'look-live',
    requester: { namespace, name },
    nodeName: requester.nodeName ?? pods.podNamed(namespace, name)?.nodeName,
    namespace: claim.identity.namespace,
    reason: obstacle.reason,
  };
}

function deny({ reason, message }: Denied): RequestJudgement {
  return { kind: 'deny', reason, message };
}

function readRequester(
  request: RequestFacts,
  rules: IssueRules,
): ({ readonly kind: 'requester' } & Requester) | Denied {
  const { meshNamespace: namespace, proxyServiceAccount } = rules;
  const username = `system:serviceaccount:${namespace}:${proxyServiceAccount}`;
  const isInGroup = request.groups.includes(`system:serviceaccounts:${namespace}`);
  if (request.username !== username || !isInGroup) {
    return refused('RequesterNotProxy', `only ${username} may use signer ${workloadSigner}`);
  }
  const name = stampOf(request, podNameKey);
  const uid = stampOf(request, podUidKey);
  if (name === undefined || uid === undefined) {
    return refused(
      'RequesterUnbound',
      'the token is bound to no pod; use the projected token of the proxy pod',
    );
  }
  if (!request.extra.has(nodeNameKey)) {
    return { kind: 'requester', namespace, name, uid, nodeName: undefined };
  }
  const nodeName = stampOf(request, nodeNameKey);
  if (nodeName === undefined || !isSubdomain(nodeName)) {
    return refused('RequesterUnbound', 'the token names no single node; use a projected token');
  }
  return { kind: 'requester', namespace, name, uid, nodeName };
}

/** The one value of an extra; none and several are both `undefined`. */
function stampOf(request: RequestFacts, key: string): string | undefined {
  const values = request.extra.get(key) ?? [];
  return values.length === 1 && values[0] !== '' ? values[0] : undefined;
}

function readClaim(
  request: RequestFacts,
  rules: IssueRules,
): ({ readonly kind: 'claim' } & Claim) | Denied {
  const lifetime = request.expirationSeconds ?? lifetimeSecondsMax;
  const isExact =
    request.usages.length === requestUsages.length &&
    requestUsages.every((usage) => request.usages.includes(usage));
  if (!isExact) {
    return refused('UsagesRefused', `usages have to be exactly: ${requestUsages.join(', ')}`);
  }
  if (
    !Number.isInteger(lifetime) ||
    lifetime < lifetimeSecondsMin ||
    lifetime > lifetimeSecondsMax
  ) {
    return refused(
      'DurationRefused',
      `expirationSeconds has to be absent or ${lifetimeSecondsMin} to ${lifetimeSecondsMax}`,
    );
  }
  const parsed = readCertificateRequest(request.requestPem, { bytesMax: requestBytesMax });
  if (parsed.kind === 'refused') return parsed;
  return readNames(parsed, lifetime * 1000, rules);
}

function readNames(
  { uris, dnsNames, publicKey }: ParsedRequest,
  lifetimeMs: number,
  { trustDomain }: IssueRules,
): ({ readonly kind: 'claim' } & Claim) | Denied {
  const [uri = ''] = uris;
  const [dnsName = ''] = dnsNames;
  if (uris.length !== 1) {
    return refused('SpiffeIdCount', `${uris.length} URIs; ask for one identity`);
  }
  const identity = parseSpiffeId(uri);
  if (identity === undefined) {
    return refused(
      'SpiffeIdRefused',
      `${quoted(uri)} is not spiffe://${trustDomain}/ns/<namespace>/sa/<service account>`,
    );
  }
  if (identity.trustDomain !== trustDomain) {
    return refused(
      'TrustDomainForeign',
      `${quoted(uri)} is not of trust domain ${trustDomain}; give all parts one --trust-domain`,
    );
  }
  if (dnsNames.length !== 1) {
    return refused('NodeNameCount', `${dnsNames.length} DNS names; ask for the own node's alone`);
  }
  const node = boundNodeOf(dnsName);
  if (node === undefined) {
    return refused('NodeNameRefused', `${quoted(dnsName)} is not <node>.node.weft.dev`);
  }
  // `parseSpiffeId` has read it, and reading is exact.
  const spiffeId = uri as SpiffeId;
  return { kind: 'claim', identity, spiffeId, node, publicKey, lifetimeMs };
}

/** Why the pods that are known do not bear out the claim; `undefined`: they do. */
function podObstacle(
  requester: Requester,
  claim: Claim,
  pods: PodView,
  rules: IssueRules,
): Denied | undefined {
  const proxy = pods.podNamed(requester.namespace, requester.name);
  const obstacle = proxyObstacle(requester, proxy, rules);
  if (obstacle !== undefined || proxy === undefined) return obstacle;
  if (claim.node !== proxy.nodeName) {
    return refused('NodeMismatch', `the requester is on node ${proxy.nodeName}, not ${claim.node}`);
  }
  const { namespace, serviceAccount } = claim.identity;
  const isProxyItself =
    namespace === rules.meshNamespace && serviceAccount === rules.proxyServiceAccount;
  // It asks before the kubelet has reported its address: that it asks shows that it runs.
  if (isProxyItself) return undefined;
  return workloadObstacle(claim, pods.podsOn(claim.node, namespace));
}

function proxyObstacle(
  { namespace, name, uid, nodeName }: Requester,
  pod: PodFacts | undefined,
  { proxyServiceAccount }: IssueRules,
): Denied | undefined {
  if (pod === undefined || pod.meta.uid !== uid) {
    return refused('RequesterPodUnknown', `pod ${namespace}/${name} with uid ${uid} is no more`);
  }
  if (pod.serviceAccount !== proxyServiceAccount) {
    return refused('RequesterPodMismatch', `pod ${namespace}/${name} has another service account`);
  }
  if (pod.nodeName === '' || (nodeName !== undefined && nodeName !== pod.nodeName)) {
    return refused('RequesterPodMismatch', `pod ${namespace}/${name} is not on the token's node`);
  }
  return isGone(pod)
    ? refused('RequesterPodMismatch', `pod ${namespace}/${name} has ended`)
    : undefined;
}

function workloadObstacle(
  { identity: { namespace, serviceAccount }, node }: Claim,
  known: readonly PodFacts[],
): Denied | undefined {
  const own = known.filter(
    (pod) =>
      pod.nodeName === node &&
      pod.meta.namespace === namespace &&
      pod.serviceAccount === serviceAccount,
  );
  const who = `service account ${namespace}/${serviceAccount}`;
  let nearest = refused<DenialReason>('PodMissing', `no pod of ${who} is on node ${node}`);
  for (const pod of own) {
    const obstacle = obstacleOf(pod);
    if (obstacle === undefined) return undefined;
    nearest = obstacle;
  }
  return nearest;
}

/** Architecture: not hostNetwork, not terminal; Running, or Pending with an address. */
function obstacleOf(pod: PodFacts): Denied | undefined {
  const who = `pod ${pod.meta.namespace}/${pod.meta.name}`;
  if (pod.isHostNetwork) {
    return refused('PodHostNetwork', `${who} uses the node's network, which proves no identity`);
  }
  if (isGone(pod)) return refused('PodNotRunning', `${who} has ended or is not known to run`);
  return pod.phase === 'Pending' && pod.addresses.length === 0
    ? refused('PodWithoutAddress', `${who} has no address yet; ask again when it has`)
    : undefined;
}

function isGone(pod: PodFacts): boolean {
  const isPhaseLive = pod.phase === 'Running' || pod.phase === 'Pending';
  return !isPhaseLive || (pod.isDeleting && !pod.hasRunningContainer);
}
