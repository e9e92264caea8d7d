// Whether a proxy may get traffic: caches synced, the snapshot in force in every worker, listeners
// and DNS open. Pure; it stays ready while draining, because kube-proxy goes on sending to a
// terminating sole endpoint only while it is ready (architecture §3).
import type { WorkerState } from './worker-fleet.ts';

export type ReadinessFacts = {
  readonly isSynced: boolean;
  readonly workers: readonly WorkerState[];
  /** Version that was published last. */
  readonly version: string | undefined;
  readonly dns: { readonly open: number; readonly wanted: number };
};

/** `waitsFor` is empty when ready; else what is missing, for /readyz. */
export type Readiness = { readonly isReady: boolean; readonly waitsFor: readonly string[] };

export function readinessOf(facts: ReadinessFacts): Readiness {
  const waitsFor: string[] = [];
  if (!facts.isSynced) waitsFor.push('the first list of every kind from the API server');
  if (facts.version === undefined) waitsFor.push('the first snapshot');
  else {
    // One worker that serves is enough: a restarting one must not take the node out.
    const serving = facts.workers.filter((one) => one.isRunning && one.version !== '');
    if (serving.length === 0) waitsFor.push('a worker with a snapshot');
    else if (serving.every((one) => one.failedPorts.length > 0)) waitsFor.push('open listeners');
  }
  if (facts.dns.open === 0) waitsFor.push('the DNS port');
  return { isReady: waitsFor.length === 0, waitsFor };
}
