// Whose is an address: pods and nodes → the node part. An address says who somebody is, so every
// doubt ends in nobody: two live claims, a node's address, or an address that has just changed
// hands are never a source (architecture §4). Pure: time is an argument, and what has to be
// remembered between two calls (who had an address, until when it is quarantined) is in the result.
import type { Node, Pod, Problem } from '../api/index.ts';
import {
  isSameBinding,
  type AddressBinding,
  type NodePart,
  type Workload,
} from '../snapshot/index.ts';
import { problemOf, sortedProblems } from './problems.ts';

/**
 * How long an address is nobody's source after a pod lost it. The kubelet frees an address before
 * the Pod object goes, and the next pod's object may lag behind its first packet; watches are
 * milliseconds behind, seconds when they reconnect.
 */
const quarantineMs = 2_000;

export type AddressInput = {
  readonly nodeName: string;
  readonly pods: Iterable<Pod>;
  readonly nodes: Iterable<Node>;
};

export type AddressBook = {
  readonly part: NodePart;
  readonly problems: readonly Problem[];
  /** When to bind again although no object changed: the end of the next quarantine. */
  readonly nextChangeMs: number | undefined;
  readonly claims: Claims;
  /** Address → until when it is nobody's. */
  readonly quarantine: ReadonlyMap<string, number>;
};

/** Address → the live pod that claims it, or all of them where there are several. */
type Claims = ReadonlyMap<string, Claim>;
type Claim = Pod | readonly Pod[];

/**
 * The bindings of this moment, given what was known before. It runs for every change of any pod, on
 * the thread that answers DNS and probes: a pod that nobody disputes costs one object, its binding.
 */
export function bindAddresses(
  previous: AddressBook | undefined,
  input: AddressInput,
  nowMs: number,
): AddressBook {
  const { infrastructure, claims, contested } = claimsOf(input);
  const quarantine = quarantined(previous, claims, nowMs);
  const bindings = new Map<string, AddressBinding>();
  for (const address of infrastructure) bindings.set(address, { kind: 'infrastructure' });
  for (const address of quarantine.keys()) {
    if (!infrastructure.has(address)) bindings.set(address, { kind: 'disputed' });
  }
  for (const [address, claim] of claims) {
    if (infrastructure.has(address)) continue;
    const nodeName = quarantine.has(address) ? undefined : input.nodeName;
    const before = previous?.part.bindings.get(address);
    bindings.set(address, bindingOf(claim, nodeName, before));
  }
  let nextChangeMs: number | undefined;
  for (const untilMs of quarantine.values())
    nextChangeMs = Math.min(untilMs, nextChangeMs ?? untilMs);
  const part = { nodeName: input.nodeName, bindings };
  const suspects = new Set([...contested, ...infrastructure]);
  const problems = disputes(suspects, claims, infrastructure);
  return { part, problems, nextChangeMs, claims, quarantine };
}

type AllClaims = {
  /** Addresses of nodes, and of pods that use their node's. */
  readonly infrastructure: ReadonlySet<string>;
  readonly claims: Claims;
  /** Addresses that several live pods claim. */
  readonly contested: ReadonlySet<string>;
};

function claimsOf({ nodes, pods }: AddressInput): AllClaims {
  const infrastructure = new Set<string>();
  const claims = new Map<string, Claim>();
  const contested = new Set<string>();
  for (const node of nodes) for (const address of node.addresses) infrastructure.add(address);
  for (const pod of pods) {
    if (pod.isHostNetwork) {
      for (const address of pod.addresses) infrastructure.add(address);
    } else if (isLive(pod)) {
      for (const address of pod.addresses) claim(address, pod, claims, contested);
    }
  }
  return { infrastructure, claims, contested };
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

function claimants(claim: Claim): readonly Pod[] {
  return isAlone(claim) ? [claim] : claim;
}

function isAlone(claim: Claim): claim is Pod {
  return 'meta' in claim;
}

/** A finished pod has given its address back; a deleted one keeps it while a container runs. */
function isLive(pod: Pod): boolean {
  if (pod.phase === 'Succeeded' || pod.phase === 'Failed') return false;
  return !pod.isDeleting || pod.hasRunningContainer;
}

/** `nodeName`: whose pods may be sources; `undefined` while the address is quarantined. */
function bindingOf(
  claim: Claim,
  nodeName: string | undefined,
  before: AddressBinding | undefined,
): AddressBinding {
  // A mirror pod has no service account: whoever has its address is nobody.
  if (!isAlone(claim) || claim.serviceAccount === '') {
    return before?.kind === 'disputed' ? before : { kind: 'disputed' };
  }
  const isLocal = claim.nodeName === nodeName;
  const workload = workloadOf(claim);
  const place = { isLocal, nodeName: claim.nodeName };
  const binding: AddressBinding = { kind: 'workload', ...place, workload };
  return before !== undefined && isSameBinding(before, binding) ? before : binding;
}

function workloadOf({ meta, serviceAccount, workload }: Pod): Workload {
  const { namespace, name, uid } = meta;
  return { namespace, serviceAccount, workload, podName: name, podUid: uid };
}

function quarantined(
  previous: AddressBook | undefined,
  claims: Claims,
  nowMs: number,
): ReadonlyMap<string, number> {
  const quarantine = new Map<string, number>();
  if (previous === undefined) return quarantine;
  for (const [address, untilMs] of previous.quarantine) {
    if (untilMs > nowMs) quarantine.set(address, untilMs);
  }
  for (const [address, before] of previous.claims) {
    const now = claims.get(address);
    if (before !== now && hasLost(before, now)) quarantine.set(address, nowMs + quarantineMs);
  }
  return quarantine;
}

/** Whether a pod that claimed the address does so no longer. */
function hasLost(before: Claim, now: Claim | undefined): boolean {
  if (now === undefined) return true;
  if (isAlone(before) && isAlone(now)) return before.meta.uid !== now.meta.uid;
  const uids = new Set(claimants(now).map(({ meta }) => meta.uid));
  return claimants(before).some(({ meta }) => !uids.has(meta.uid));
}

function disputes(
  suspects: Iterable<string>,
  claims: Claims,
  infrastructure: ReadonlySet<string>,
): readonly Problem[] {
  const problems: Problem[] = [];
  for (const address of suspects) {
    const claim = claims.get(address);
    if (claim === undefined) continue;
    const rival = infrastructure.has(address) ? 'a node' : 'another live pod';
    const message = `address ${address} is claimed by ${rival} too: nobody is known by it`;
    for (const pod of claimants(claim)) {
      problems.push(problemOf(pod, 'AddressDisputed', message));
    }
  }
  return sortedProblems(problems);
}
