// Which worker serves which UDP port: one alone, since a second socket on the port would take a
// part of each flow. Ports are told apart by their number modulo a few shares, and shares are given
// out: evenly at first; when a worker dies its shares go to those that live, and stay there when
// its successor comes – each move costs the flows of the port.
// Invariant: as long as a worker lives, every share has a living owner.

/** More than workers can be, so that the shares of one that dies spread over the others. */
const udpShareCount = 64;

/** Share → worker; empty: nobody serves. */
export type UdpOwners = readonly number[];

export function ownsUdp(owners: UdpOwners, worker: number): (targetPort: number) => boolean {
  return (targetPort) => owners.length > 0 && owners[targetPort % owners.length] === worker;
}

/** Who owns what now: shares of the dead, and at first all, go to whoever has fewest. */
export function shareUdp(previous: UdpOwners, living: readonly number[]): UdpOwners {
  if (living.length === 0) return [];
  const counts = new Map(living.map((worker) => [worker, 0]));
  const shares = previous.length > 0 ? previous : Array.from({ length: udpShareCount }, () => -1);
  for (const owner of shares) {
    const count = counts.get(owner);
    if (count !== undefined) counts.set(owner, count + 1);
  }
  return shares.map((owner) => {
    if (counts.has(owner)) return owner;
    const heir = fewestOf(counts);
    counts.set(heir, (counts.get(heir) ?? 0) + 1);
    return heir;
  });
}

function fewestOf(counts: ReadonlyMap<number, number>): number {
  let fewest = -1;
  let least = Infinity;
  for (const [worker, count] of counts) {
    if (count >= least) continue;
    fewest = worker;
    least = count;
  }
  return fewest;
}
