// Whether a proxy may get traffic: caches synced, the snapshot in force in a worker, listeners and
// DNS open. Pure. It stays ready while draining, because kube-proxy goes on sending to a
// terminating sole endpoint only while it is ready (architecture §3).
import type { WorkerState } from './worker-fleet.ts';

export type ReadinessFacts = {
  readonly isSynced: boolean;
  readonly workers: readonly WorkerState[];
  /** Version that was published last. */
  readonly version: string | undefined;
  readonly dns: { readonly open: number; readonly wanted: number };
  /** It has been ready before. */
  readonly wasReady: boolean;
};

/** `waitsFor` is empty when ready; else what is missing, for /readyz. */
export type Readiness = { readonly isReady: boolean; readonly waitsFor: readonly string[] };

export function readinessOf(facts: ReadinessFacts): Readiness {
  const waitsFor: string[] = [];
  if (!facts.isSynced) waitsFor.push('the first list of every kind from the API server');
  if (facts.version === undefined) waitsFor.push('the first snapshot');
  else waitsFor.push(...workersWaitFor(facts));
  const dnsNeeded = facts.wasReady ? Math.min(1, facts.dns.wanted) : facts.dns.wanted;
  if (facts.dns.open < dnsNeeded) waitsFor.push('the DNS port');
  return { isReady: waitsFor.length === 0, waitsFor };
}

/** One worker that serves is enough: a restarting one must not take the node out. */
function workersWaitFor({ workers, wasReady }: ReadinessFacts): readonly string[] {
  const serving = workers.filter((one) => one.isRunning && one.version !== '' && one.isSettled);
  if (serving.length === 0) return ['a worker with a snapshot and its listeners'];
  const complete = serving.some((one) => one.failedPorts.length === 0);
  if (complete) return [];
  // Before the first time a port that is taken means that a predecessor has not gone yet. Later it
  // is one port's trouble, told under /debug/workers, and no reason to refuse all the others.
  if (wasReady && serving.some((one) => one.openPorts.length > 0)) return [];
  const failed = new Set(serving.flatMap((one) => one.failedPorts.map(({ port }) => port)));
  return [...failed].sort((a, b) => a - b).map((port) => `listener port ${port}`);
}
