// Who answers for an address on the wire, held against what the API server says: the kernel's
// neighbour table (`/proc/net/arp`, IPv4) as a witness. A pod that may send raw packets can poison
// its neighbours' tables and be them; the hardware address of its victim changes then while the pod
// does not, or is the attacker's own, too. That detects and does not prevent: a forgery between two
// looks is not seen, and IPv6 is not in this table.

/** IPv4 address → hardware address; several, with a comma, where devices disagree. */
export type Neighbours = ReadonlyMap<string, string>;

/** What was seen of an address under one pod. */
export type Sighting = {
  readonly podUid: string;
  readonly hardware: string;
  /** When it last contradicted; `undefined`: never. */
  readonly contradictedMs: number | undefined;
};

/** Address of a pod of this node → what was seen of it. */
export type Sightings = ReadonlyMap<string, Sighting>;

export type NeighbourInput = {
  readonly neighbours: Neighbours;
  /** Address → uid of the one pod of this node that claims it. */
  readonly pods: ReadonlyMap<string, string>;
};

/** How long an address is nobody's after its last contradiction. */
const disputeMs = 10 * 60_000;

/** More neighbours than the kernel keeps by default (gc_thresh3 is 1 024). */
const rowsMax = 16_384;
/** ATF_COM of linux/if_arp.h: the hardware address of the row is known. */
const completeFlag = 0x2;

/** The complete rows of `/proc/net/arp`; lines that do not have its form are left out. */
export function readNeighbours(text: string): Neighbours {
  const neighbours = new Map<string, string>();
  for (const line of text.split('\n', rowsMax).slice(1)) {
    const [address = '', , flags = '', hardware = ''] = line.trim().split(/\s+/);
    if (!/^0x[0-9a-f]+$/i.test(flags) || (Number(flags) & completeFlag) === 0) continue;
    if (!/^[0-9a-f:]{11,}$/i.test(hardware)) continue;
    const spelled = hardware.toLowerCase();
    const others = neighbours.get(address)?.split(',') ?? [];
    neighbours.set(address, [...new Set([...others, spelled])].sort().join(','));
  }
  return neighbours;
}

/** What is known after this look; sightings of pods that have gone are forgotten. */
export function lookAtNeighbours(
  previous: Sightings | undefined,
  { neighbours, pods }: NeighbourInput,
  nowMs: number,
): Sightings {
  const sharers = sharersOf(neighbours, pods);
  const sightings = new Map<string, Sighting>();
  for (const [address, podUid] of pods) {
    const known = previous?.get(address);
    const before = known?.podUid === podUid ? known : undefined;
    const hardware = neighbours.get(address);
    if (hardware === undefined) {
      if (before !== undefined) sightings.set(address, before);
      continue;
    }
    const hasChanged = before !== undefined && before.hardware !== hardware;
    const isContradicted = hasChanged || (sharers.get(hardware)?.size ?? 0) > 1;
    const contradictedMs = isContradicted ? nowMs : before?.contradictedMs;
    sightings.set(address, { podUid, hardware, contradictedMs });
  }
  return sightings;
}

/** Until when the address is disputed; `undefined`: it is not. */
export function disputedUntilMs(
  sighting: Sighting | undefined,
  nowMs: number,
): number | undefined {
  if (sighting?.contradictedMs === undefined) return undefined;
  const untilMs = sighting.contradictedMs + disputeMs;
  return untilMs > nowMs ? untilMs : undefined;
}

/**
 * Hardware address → uids of the pods that it stands for. Where all neighbours have one the network
 * is routed (the node answers for every pod) and it says nothing.
 */
function sharersOf(
  neighbours: Neighbours,
  pods: ReadonlyMap<string, string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const sharers = new Map<string, Set<string>>();
  if (new Set(neighbours.values()).size < 2) return sharers;
  for (const [address, podUid] of pods) {
    const hardware = neighbours.get(address);
    if (hardware === undefined) continue;
    const uids = sharers.get(hardware) ?? new Set<string>();
    sharers.set(hardware, uids.add(podUid));
  }
  return sharers;
}
