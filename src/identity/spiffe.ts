// SPIFFE ids of workloads: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, and no
// other shape (SPIFFE-ID §2, narrowed). Parsing is exact, not lenient: an id that could be
// written in two ways – percent-escapes, an upper-case trust domain, a port, dot segments, a
// query – is none, because two readers that disagree about it disagree about who may call whom.
import type { Brand } from '../lib/brand.ts';
import { isLabel, isSubdomain } from './names.ts';

/** A well-formed id as text; made only by `formatSpiffeId`. */
export type SpiffeId = Brand<string, 'SpiffeId'>;

/** Who a workload is, as SMI and Kubernetes name it. */
export type WorkloadIdentity = {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
};

/** SPIFFE-ID §2.1 and §2.2: trust domain ≤ 255 bytes, the whole id ≤ 2048 bytes. */
const trustDomainBytesMax = 255;
const idBytesMax = 2048;

const trustDomainPattern = /^[a-z0-9._-]+$/;
const scheme = 'spiffe://';

/** Whether `text` may be the trust domain of our ids. */
export function isTrustDomain(text: string): boolean {
  return text.length <= trustDomainBytesMax && trustDomainPattern.test(text);
}

/** The identity that `text` names, or `undefined` when it is not exactly of our shape. */
export function parseSpiffeId(text: string): WorkloadIdentity | undefined {
  if (text.length > idBytesMax || !text.startsWith(scheme)) return undefined;
  const parts = text.slice(scheme.length).split('/');
  const [trustDomain, ns, namespace, sa, serviceAccount] = parts;
  if (parts.length !== 5 || ns !== 'ns' || sa !== 'sa') return undefined;
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) {
    return undefined;
  }
  const identity = { trustDomain, namespace, serviceAccount };
  return isWellFormed(identity) ? identity : undefined;
}

/** The id of `identity`, or `undefined` when a part of it cannot stand in an id. */
export function formatSpiffeId(identity: WorkloadIdentity): SpiffeId | undefined {
  if (!isWellFormed(identity)) return undefined;
  const { trustDomain, namespace, serviceAccount } = identity;
  return `${scheme}${trustDomain}/ns/${namespace}/sa/${serviceAccount}` as SpiffeId;
}

function isWellFormed(identity: WorkloadIdentity): boolean {
  return (
    isTrustDomain(identity.trustDomain) &&
    isLabel(identity.namespace) &&
    isSubdomain(identity.serviceAccount)
  );
}
