// What certificates a proxy wants and when each is due: the pure part of its identities. Wanted is
// what the controller would issue (it repeats every check); a pod that it would refuse is not asked
// for, because every refusal costs a request and tells nobody anything.
import type { Pod } from '../api/index.ts';
import {
  formatSpiffeId,
  proxyServiceAccount,
  renewalOf,
  type SpiffeId,
  type TrustRoot,
} from '../identity/index.ts';

export type PlanInput = {
  readonly nodeName: string;
  readonly meshNamespace: string;
  readonly trustDomain: string;
  readonly pods: Iterable<Pod>;
};

/** An identity that this node needs. */
export type WantedIdentity = {
  readonly id: SpiffeId;
  /** Uids of the pods that it is for; the proxy's own identity needs none. */
  readonly pods: ReadonlySet<string>;
};

/** More accounts than pods fit on a node; the oldest pods' are left out. */
const identitiesMax = 1_000;

/** The proxy's own identity first, then the accounts of this node's pods, youngest pod first. */
export function wantedIdentities(input: PlanInput): readonly WantedIdentity[] {
  const pods = [...input.pods].filter((pod) => isCertifiable(pod, input.nodeName));
  pods.sort((a, b) => b.meta.createdMs - a.meta.createdMs);
  const wanted = new Map<SpiffeId, Set<string>>();
  const own = ownIdentity(input);
  if (own !== undefined) wanted.set(own, new Set());
  for (const { meta, serviceAccount } of pods) {
    const { trustDomain } = input;
    const id = formatSpiffeId({ trustDomain, namespace: meta.namespace, serviceAccount });
    if (id === undefined) continue;
    if (!wanted.has(id) && wanted.size >= identitiesMax) continue;
    wanted.set(id, (wanted.get(id) ?? new Set<string>()).add(meta.uid));
  }
  return [...wanted].map(([id, uids]) => ({ id, pods: uids }));
}

/** Of all proxies of the mesh; `undefined` where the trust domain can be none. */
export function ownIdentity(
  mesh: Pick<PlanInput, 'meshNamespace' | 'trustDomain'>,
): SpiffeId | undefined {
  const { trustDomain, meshNamespace: namespace } = mesh;
  return formatSpiffeId({ trustDomain, namespace, serviceAccount: proxyServiceAccount });
}

/** As the controller judges: of this node, not hostNetwork, alive, with an address. */
function isCertifiable(pod: Pod, nodeName: string): boolean {
  if (pod.nodeName !== nodeName || pod.isHostNetwork || pod.serviceAccount === '') return false;
  if (pod.phase !== 'Running' && pod.phase !== 'Pending') return false;
  // An address is what makes a pod a source; the controller asks for one of pending pods only.
  return pod.addresses.length > 0 && (!pod.isDeleting || pod.hasRunningContainer);
}

/** What of a certificate that is in use decides when it is renewed. */
export type CertificateDates = {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly rootFingerprint: string;
  /** Uniform in [0, 1), drawn when it came. */
  readonly jitter: number;
};

/** The roots that are trusted, and since when the first of them signs. */
export type TrustInForce = {
  readonly roots: readonly TrustRoot[];
  /** Wall time. */
  readonly firstSinceMs: number;
};

/** A leaf that does not chain to the first root is renewed within this time, at random. */
const reissueMs = 10 * 60_000;

/** When (wall time) a certificate is to be renewed. */
export function renewAtMs(certificate: CertificateDates, trust: TrustInForce): number {
  const { renewAtMs: dueMs } = renewalOf(certificate);
  const { rootFingerprint: root, jitter } = certificate;
  if (trust.roots[0]?.fingerprint === root) return dueMs;
  // One whose root is no longer trusted is of no use to anybody.
  if (trust.roots.every(({ fingerprint }) => fingerprint !== root)) return 0;
  return Math.min(dueMs, trust.firstSinceMs + jitter * reissueMs);
}

/** When somebody has to be told that a certificate is still the old one. */
export function alarmAtMs(certificate: CertificateDates): number {
  return renewalOf(certificate).alarmAtMs;
}
