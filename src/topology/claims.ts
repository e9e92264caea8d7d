// Which live pods claim which address, as the objects say. A pod claims its addresses from the
// moment it names them (init containers call too) until its containers have ended.
import type { Node, Pod } from '../api/index.ts';
import { byText } from '../lib/order.ts';

/** Address → the live pod that claims it, or all of them where there are several. */
export type Claims = ReadonlyMap<string, Claim>;
export type Claim = Pod | readonly Pod[];

export type AllClaims = {
  /** Addresses of nodes, and of pods that use their node's. */
  readonly infrastructure: ReadonlySet<string>;
  /** Address → the live pods of this node that use its network there, sorted. */
  readonly hostPods: ReadonlyMap<string, readonly string[]>;
  readonly claims: Claims;
  /** Addresses that several live pods claim. */
  readonly contested: ReadonlySet<string>;
  /** Pods of this node that have ended and still name an address. */
  readonly ended: readonly Pod[];
};

export type ClaimInput = {
  readonly nodeName: string;
  readonly pods: Iterable<Pod>;
  readonly nodes: Iterable<Node>;
};

export function claimsOf({ nodes, nodeName, pods }: ClaimInput): AllClaims {
  const infrastructure = new Set<string>();
  const hostPods = new Map<string, string[]>();
  const claims = new Map<string, Claim>();
  const contested = new Set<string>();
  const ended: Pod[] = [];
  for (const node of nodes) for (const address of node.addresses) infrastructure.add(address);
  for (const pod of pods) {
    if (pod.isHostNetwork) {
      for (const address of pod.addresses) infrastructure.add(address);
      if (pod.nodeName === nodeName && isLive(pod)) addHostPod(pod, hostPods);
    } else if (isLive(pod)) {
      for (const address of pod.addresses) claim(address, pod, claims, contested);
    } else if (pod.nodeName === nodeName && pod.addresses.length > 0) ended.push(pod);
  }
  for (const names of hostPods.values()) names.sort(byText);
  return { infrastructure, hostPods, claims, contested, ended };
}

function addHostPod({ meta, addresses }: Pod, hostPods: Map<string, string[]>): void {
  const name = `${meta.namespace}/${meta.name}`;
  for (const address of new Set(addresses)) {
    hostPods.set(address, [...(hostPods.get(address) ?? []), name]);
  }
}

function claim(
  address: string,
  pod: Pod,
  claims: Map<string, Claim>,
  contested: Set<string>,
): void {
  const others = claims.get(address);
  if (others === undefined) {
    claims.set(address, pod);
    return;
  }
  // A pod may say its own address twice.
  if (claimants(others).includes(pod)) return;
  claims.set(address, [...claimants(others), pod]);
  contested.add(address);
}

export function claimants(claim: Claim): readonly Pod[] {
  return isAlone(claim) ? [claim] : claim;
}

export function isAlone(claim: Claim): claim is Pod {
  return 'meta' in claim;
}

/** A finished pod has given its address back; a deleted one keeps it while a container runs. */
function isLive(pod: Pod): boolean {
  if (pod.phase === 'Succeeded' || pod.phase === 'Failed') return false;
  return !pod.isDeleting || pod.hasRunningContainer;
}

/** The pods that claimed the address and do so no longer. */
export function losersOf(before: Claim, now: Claim | undefined): readonly Pod[] {
  if (now === undefined) return claimants(before);
  const uids = new Set(claimants(now).map(({ meta }) => meta.uid));
  return claimants(before).filter(({ meta }) => !uids.has(meta.uid));
}
