// When an address is nobody's source because it has just changed hands, or may have: connections
// that its old pod made can still be on their way, and must not count as the new pod's.
import { losersOf, type AllClaims, type Claims } from './claims.ts';

/**
 * How long an address is nobody's source after a pod lost it. The kubelet frees an address before
 * the Pod object goes, and the next pod's object may lag behind its first packet; watches are
 * milliseconds behind, seconds when they reconnect.
 */
const quarantineMs = 2_000;

/** How long the address of a pod that was never seen to end is remembered. */
const vanishedMs = 10 * 60_000;

export type Quarantine = {
  /** Address → until when it is nobody's. */
  readonly untilMs: ReadonlyMap<string, number>;
  /** Uids of this node's pods that have ended and still name an address. */
  readonly ended: ReadonlySet<string>;
  /**
   * Address → until when it counts that its last pod's object went while the pod seemed alive
   * (`kubectl delete --force`): how long it lived on nobody knows, so its successor is quarantined
   * from its own beginning.
   */
  readonly vanished: ReadonlyMap<string, number>;
  /** Until when a pod that is new may have had a predecessor that nobody told of. */
  readonly gapUntilMs: number;
};

/** What a look remembers of the one before. */
export type Held = { readonly claims: Claims; readonly quarantine: Quarantine };

export type Look = {
  readonly nodeName: string;
  readonly isAfterGap: boolean;
  readonly nowMs: number;
};

/** The quarantine after a look that found `seen`. A first look has nothing to compare with. */
export function quarantineOf(held: Held | undefined, seen: AllClaims, look: Look): Quarantine {
  const { nowMs } = look;
  const ended = new Set(seen.ended.map(({ meta }) => meta.uid));
  if (held === undefined) {
    return { untilMs: new Map(), ended, vanished: new Map(), gapUntilMs: nowMs };
  }
  const { claims: before, quarantine: previous } = held;
  const endMs = nowMs + quarantineMs;
  const gapUntilMs = look.isAfterGap ? endMs : previous.gapUntilMs;
  const untilMs = still(previous.untilMs, nowMs);
  const vanished = still(previous.vanished, nowMs);
  for (const [address, claim] of before) {
    const now = seen.claims.get(address);
    // Nearly all: there are 10 000 addresses, and one of them has changed.
    if (claim === now) continue;
    for (const { meta, nodeName } of losersOf(claim, now)) {
      untilMs.set(address, endMs);
      if (nodeName !== look.nodeName || ended.has(meta.uid)) continue;
      vanished.set(address, nowMs + vanishedMs);
    }
  }
  // One that ended before it was ever seen alive: its connections are as young as any.
  for (const { meta, addresses } of seen.ended) {
    if (previous.ended.has(meta.uid)) continue;
    for (const address of addresses) untilMs.set(address, endMs);
  }
  if (vanished.size > 0 || nowMs < gapUntilMs) {
    for (const address of seen.claims.keys()) {
      if (before.has(address)) continue;
      if (vanished.delete(address) || nowMs < gapUntilMs) untilMs.set(address, endMs);
    }
  }
  return { untilMs, ended, vanished, gapUntilMs };
}

/** The entries that have not passed. */
function still(entries: ReadonlyMap<string, number>, nowMs: number): Map<string, number> {
  const left = new Map<string, number>();
  for (const [key, untilMs] of entries) if (untilMs > nowMs) left.set(key, untilMs);
  return left;
}
