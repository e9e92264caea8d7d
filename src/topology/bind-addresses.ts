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
import { byText, problemOf, sortedProblems } from './problems.ts';

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
  /** Address → uids of the live pods that claim it. */
  readonly claims: ReadonlyMap<string, readonly string[]>;
  /** Address → until when it is nobody's. */
  readonly quarantine: ReadonlyMap<string, number>;
};

/** The bindings of this moment, given what was known before. */
export function bindAddresses(
  previous: AddressBook | undefined,
  input: AddressInput,
  nowMs: number,
): AddressBook {
  // Read twice, and a Map's `values()` can be read only once.
  const pods = [...input.pods];
  const infrastructure = nodeAddresses(input.nodes, pods);
  const claimants = liveClaims(pods);
  const claims = new Map<string, readonly string[]>();
  for (const [address, claiming] of claimants) {
    claims.set(address, claiming.map(({ meta }) => meta.uid).sort(byText));
  }
  const quarantine = quarantined(previous, claims, nowMs);
  const bindings = new Map<string, AddressBinding>();
  for (const address of infrastructure) bindings.set(address, { kind: 'infrastructure' });
  for (const address of quarantine.keys()) {
    if (!infrastructure.has(address)) bindings.set(address, { kind: 'disputed' });
  }
  for (const [address, claiming] of claimants) {
    if (infrastructure.has(address)) continue;
    const binding = bindingOf(claiming, quarantine.has(address) ? undefined : input.nodeName);
    const before = previous?.part.bindings.get(address);
    bindings.set(
      address,
      before !== undefined && isSameBinding(before, binding) ? before : binding,
    );
  }
  let nextChangeMs: number | undefined;
  for (const untilMs of quarantine.values())
    nextChangeMs = Math.min(untilMs, nextChangeMs ?? untilMs);
  const problems = disputes(claimants, infrastructure);
  return {
    part: { nodeName: input.nodeName, bindings },
    problems,
    nextChangeMs,
    claims,
    quarantine,
  };
}

function nodeAddresses(nodes: Iterable<Node>, pods: readonly Pod[]): ReadonlySet<string> {
  const addresses = new Set<string>();
  for (const node of nodes) for (const address of node.addresses) addresses.add(address);
  for (const pod of pods) {
    if (!pod.isHostNetwork) continue;
    for (const address of pod.addresses) addresses.add(address);
  }
  return addresses;
}

/** Address → the pods that have it now, in the order of their uids. */
function liveClaims(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const claims = new Map<string, Pod[]>();
  for (const pod of pods) {
    if (pod.isHostNetwork || !isLive(pod)) continue;
    for (const address of new Set(pod.addresses)) {
      const others = claims.get(address);
      if (others === undefined) claims.set(address, [pod]);
      else others.push(pod);
    }
  }
  return claims;
}

/** A finished pod has given its address back; a deleted one keeps it while a container runs. */
function isLive(pod: Pod): boolean {
  if (pod.phase === 'Succeeded' || pod.phase === 'Failed') return false;
  return !pod.isDeleting || pod.hasRunningContainer;
}

/** `nodeName`: whose pods may be sources; `undefined` while the address is quarantined. */
function bindingOf(pods: readonly Pod[], nodeName: string | undefined): AddressBinding {
  const [pod, other] = pods;
  if (pod === undefined || other !== undefined) return { kind: 'disputed' };
  return { kind: 'workload', isLocal: pod.nodeName === nodeName, workload: workloadOf(pod) };
}

function workloadOf({ meta, serviceAccount, workload }: Pod): Workload {
  const { namespace, name, uid } = meta;
  return { namespace, serviceAccount, workload, podName: name, podUid: uid };
}

function quarantined(
  previous: AddressBook | undefined,
  claims: ReadonlyMap<string, readonly string[]>,
  nowMs: number,
): ReadonlyMap<string, number> {
  const quarantine = new Map<string, number>();
  for (const [address, untilMs] of previous?.quarantine ?? []) {
    if (untilMs > nowMs) quarantine.set(address, untilMs);
  }
  for (const [address, uids] of previous?.claims ?? []) {
    const now = claims.get(address) ?? [];
    if (uids.some((uid) => !now.includes(uid))) quarantine.set(address, nowMs + quarantineMs);
  }
  return quarantine;
}

function disputes(
  claimants: ReadonlyMap<string, readonly Pod[]>,
  infrastructure: ReadonlySet<string>,
): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [address, pods] of claimants) {
    if (pods.length < 2 && !infrastructure.has(address)) continue;
    for (const pod of pods) {
      const rival = infrastructure.has(address) ? 'a node' : 'another live pod';
      const message = `address ${address} is claimed by ${rival} too: nobody is known by it`;
      problems.push(problemOf(pod, 'AddressDisputed', message));
    }
  }
  return sortedProblems(problems);
}
