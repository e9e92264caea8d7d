// Whether a proxy may get traffic: caches synced, the snapshot in force in a worker, listeners and
// DNS open. Pure. It stays ready while draining, because kube-proxy goes on sending to a
// terminating sole endpoint only while it is ready (architecture §3).
import type { ClusterState, MtlsMode } from '../api/index.ts';
import { peersService } from '../topology/index.ts';
import type { ProxySettings } from './settings.ts';
import type { WorkerState } from './worker-fleet.ts';

export type ReadinessFacts = {
  readonly isSynced: boolean;
  readonly workers: readonly WorkerState[];
  /** Version that was published last. */
  readonly version: string | undefined;
  readonly dns: { readonly open: number; readonly wanted: number };
  /** False: it keeps certificates and lacks some, though another proxy serves here. */
  readonly hasIdentity: boolean;
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
  // Later its absence is no reason to refuse everybody: it ran out, and other nodes will say so.
  if (!facts.hasIdentity && !facts.wasReady) waitsFor.push('certificates');
  return { isReady: waitsFor.length === 0, waitsFor };
}

export type CertificateFacts = {
  readonly hasOwn: boolean;
  /** All that its node's pods want. */
  readonly hasAll: boolean;
  /** Another proxy of the node serves until this one is ready. */
  readonly hasOther: boolean;
  readonly mtls: MtlsMode;
  /** Since it was started. */
  readonly waitedMs: number;
};

/**
 * A successor takes over only when other nodes can reach it and its pods' calls need not wait. What
 * it can be without it does not wait for longer than this: who signs may be away.
 */
const certificatesMs = 10_000;

/** Whether a proxy has the certificates that it should have before it gets traffic. */
export function hasCertificates(facts: CertificateFacts): boolean {
  if (!facts.hasOther) return true;
  const hasWaited = facts.waitedMs >= certificatesMs;
  return facts.hasOwn ? facts.hasAll || hasWaited : facts.mtls === 'off' && hasWaited;
}

/** Whether slices show another proxy of this node that serves. */
export function hasOtherProxy(
  { endpointSlices }: Pick<ClusterState, 'endpointSlices'>,
  { nodeName, mesh, identity }: Pick<ProxySettings, 'nodeName' | 'mesh' | 'identity'>,
): boolean {
  for (const { serviceName, isManaged, meta, endpoints } of endpointSlices.values()) {
    if (serviceName !== peersService.name || meta.namespace !== mesh.meshNamespace) continue;
    const others = endpoints.filter(
      (one) => one.nodeName === nodeName && !one.addresses.includes(identity?.podAddress ?? ''),
    );
    if (isManaged && others.some(({ isServing }) => isServing)) return true;
  }
  return false;
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
