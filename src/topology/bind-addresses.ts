// Whose is an address: pods and nodes → the node part. An address says who somebody is, so every
// doubt ends in nobody: two live claims, a node's address, or an address that has just changed
// hands are never a source (architecture §4). Pure: time is an argument, and what has to be
// remembered between two calls (who had an address, until when it is quarantined) is in the result.
import type { Pod, Problem } from '../api/index.ts';
import {
  isSameBinding,
  type AddressBinding,
  type NodePart,
  type Workload,
} from '../snapshot/index.ts';
import {
  claimants,
  claimsOf,
  isAlone,
  type Claim,
  type ClaimInput,
  type Claims,
} from './claims.ts';
import {
  disputedUntilMs,
  lookAtNeighbours,
  type Neighbours,
  type Sightings,
} from './neighbours.ts';
import { problemOf, sortedProblems } from './problems.ts';
import { quarantineOf, type Quarantine } from './quarantine.ts';

export type AddressInput = ClaimInput & {
  /**
   * Since the last call pods may have come and gone that nobody told of: the watch was cut, or
   * began anew. Whoever had a new pod's address meanwhile may still have connections on their way.
   */
  readonly isAfterGap?: boolean;
  /** The kernel's neighbour table; absent: not read, nothing is disputed by it. */
  readonly neighbours?: Neighbours;
};

export type AddressBook = {
  readonly part: NodePart;
  readonly problems: readonly Problem[];
  /** When to bind again although no object changed: the end of the next quarantine or dispute. */
  readonly nextChangeMs: number | undefined;
  readonly claims: Claims;
  readonly quarantine: Quarantine;
  readonly sightings: Sightings;
  /** How many addresses of pods are nobody's because something contradicts them. */
  readonly disputed: number;
};

/**
 * The bindings of this moment, given what was known before. It runs for every change of any pod, on
 * the thread that answers DNS and probes: a pod that nobody disputes costs one object, its binding.
 */
export function bindAddresses(
  previous: AddressBook | undefined,
  input: AddressInput,
  nowMs: number,
): AddressBook {
  const seen = claimsOf(input);
  const { infrastructure, claims, contested } = seen;
  const { nodeName: ownNode, isAfterGap = false } = input;
  const quarantine = quarantineOf(previous, seen, { nodeName: ownNode, isAfterGap, nowMs });
  const sightings = sightingsOf(previous, input, claims, nowMs);
  const suspended = suspendedOf(quarantine.untilMs, sightings, nowMs);
  const bindings = new Map<string, AddressBinding>();
  for (const address of infrastructure) {
    bindings.set(address, infrastructureOf(seen.hostPods.get(address)));
  }
  for (const address of quarantine.untilMs.keys()) {
    if (!infrastructure.has(address)) bindings.set(address, { kind: 'disputed' });
  }
  for (const [address, claim] of claims) {
    if (infrastructure.has(address)) continue;
    const nodeName = suspended.has(address) ? undefined : ownNode;
    const before = previous?.part.bindings.get(address);
    const isSame = claim === previous?.claims.get(address) && isBoundTo(before, claim, nodeName);
    bindings.set(address, isSame ? before : bindingOf(claim, nodeName, before));
  }
  let nextChangeMs: number | undefined;
  for (const untilMs of suspended.values())
    nextChangeMs = Math.min(untilMs, nextChangeMs ?? untilMs);
  const part = { nodeName: ownNode, bindings };
  const suspects = new Set([...contested, ...infrastructure]);
  const contradicted = contradictedOf(sightings, nowMs);
  const problems = sortedProblems([
    ...disputes(suspects, claims, infrastructure),
    ...contradictions(contradicted, claims),
  ]);
  const disputed = new Set([...contested, ...contradicted]).size;
  return { part, problems, nextChangeMs, claims, quarantine, sightings, disputed };
}

function infrastructureOf(hostPods: readonly string[] | undefined): AddressBinding {
  return { kind: 'infrastructure', ...(hostPods && { hostPods }) };
}

/** What the neighbour table says of the pods of this node. */
function sightingsOf(
  previous: AddressBook | undefined,
  { nodeName, neighbours }: AddressInput,
  claims: Claims,
  nowMs: number,
): Sightings {
  if (neighbours === undefined) return previous?.sightings ?? new Map();
  const pods = new Map<string, string>();
  for (const [address, claim] of claims) {
    if (isAlone(claim) && claim.nodeName === nodeName) pods.set(address, claim.meta.uid);
  }
  return lookAtNeighbours(previous?.sightings, { neighbours, pods }, nowMs);
}

function contradictedOf(sightings: Sightings, nowMs: number): ReadonlySet<string> {
  const addresses = new Set<string>();
  for (const [address, sighting] of sightings) {
    if (disputedUntilMs(sighting, nowMs) !== undefined) addresses.add(address);
  }
  return addresses;
}

/** Address → until when it is nobody's source, for whatever reason. */
function suspendedOf(
  quarantine: ReadonlyMap<string, number>,
  sightings: Sightings,
  nowMs: number,
): ReadonlyMap<string, number> {
  const suspended = new Map(quarantine);
  for (const [address, sighting] of sightings) {
    const untilMs = disputedUntilMs(sighting, nowMs);
    if (untilMs === undefined) continue;
    suspended.set(address, Math.max(untilMs, quarantine.get(address) ?? 0));
  }
  return suspended;
}

/** What the same pod was bound to says all that it would say again, but whose source it may be. */
function isBoundTo(
  before: AddressBinding | undefined,
  claim: Claim,
  nodeName: string | undefined,
): before is AddressBinding {
  if (before?.kind !== 'workload' || !isAlone(claim)) return false;
  return before.isLocal === (claim.nodeName === nodeName);
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
  return problems;
}

function contradictions(addresses: Iterable<string>, claims: Claims): readonly Problem[] {
  const problems: Problem[] = [];
  for (const address of addresses) {
    const claim = claims.get(address);
    if (claim === undefined || !isAlone(claim)) continue;
    const message =
      `address ${address} is answered for by another hardware address than before, or by another ` +
      "pod's: nobody is known by it (hint: does a pod with NET_RAW forge ARP?)";
    problems.push(problemOf(claim, 'AddressDisputed', message));
  }
  return problems;
}
