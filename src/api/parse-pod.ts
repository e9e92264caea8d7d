// Pod (core/v1) → who it is, where it is and whether it still runs. This is the object that a
// cluster has most of: everything else of it is left behind.
import { normaliseAddress } from '../lib/address.ts';
import type { Pod, PodPhase } from './core.ts';
import { parseObject } from './draft.ts';
import { asList, asObject, asText, valueAt } from './json.ts';
import type { JsonObject } from './json.ts';
import type { Parsed } from './object.ts';

const phases: readonly PodPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];
const statusLists = ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses'];

/** Parses a Pod. */
export function parsePod(input: unknown): Parsed<Pod> {
  return parseObject('Pod', input, (draft) => {
    const spec = asObject(valueAt(draft.root, 'spec'));
    const status = asObject(valueAt(draft.root, 'status'));
    const metadata = asObject(valueAt(draft.root, 'metadata'));
    const phase = valueAt(status, 'phase');
    return {
      kind: 'Pod',
      meta: draft.meta,
      nodeName: asText(valueAt(spec, 'nodeName')) ?? '',
      // The API server fills it in for all but mirror pods, which a kubelet may put into any
      // namespace: they have none, and are nobody.
      serviceAccount: asText(valueAt(spec, 'serviceAccountName')) ?? '',
      phase: phases.find((known) => known === phase) ?? 'Unknown',
      isHostNetwork: valueAt(spec, 'hostNetwork') === true,
      isDeleting: typeof valueAt(metadata, 'deletionTimestamp') === 'string',
      hasRunningContainer: mayRun(status),
      addresses: readAddresses(status),
      workload: workloadOf(draft.meta.name, metadata),
    };
  });
}

/** False only when container statuses exist and all of them have terminated. */
function mayRun(status: JsonObject | undefined): boolean {
  let count = 0;
  for (const list of statusLists) {
    for (const item of asList(valueAt(status, list)) ?? []) {
      const state = asObject(valueAt(asObject(item), 'state'));
      if (asObject(valueAt(state, 'terminated')) === undefined) return true;
      count += 1;
    }
  }
  return count === 0;
}

function readAddresses(status: JsonObject | undefined): readonly string[] {
  const found: string[] = [];
  for (const item of asList(valueAt(status, 'podIPs')) ?? []) {
    addAddress(found, valueAt(asObject(item), 'ip'));
  }
  if (found.length === 0) addAddress(found, valueAt(status, 'podIP'));
  return found;
}

function addAddress(found: string[], value: unknown): void {
  const address = typeof value === 'string' ? normaliseAddress(value) : undefined;
  if (address !== undefined && !found.includes(address)) found.push(address);
}

/** `Kind/name` of the pod's controller; of a Deployment's ReplicaSet the Deployment. */
function workloadOf(podName: string, metadata: JsonObject | undefined): string {
  const owners = asList(valueAt(metadata, 'ownerReferences')) ?? [];
  const controller = owners
    .map(asObject)
    .find((owner) => valueAt(owner, 'controller') === true);
  const kind = asText(valueAt(controller, 'kind'));
  const name = asText(valueAt(controller, 'name'));
  if (kind === undefined || name === undefined) return `Pod/${podName}`;
  if (kind !== 'ReplicaSet') return `${kind}/${name}`;
  const hash = asText(valueAt(asObject(valueAt(metadata, 'labels')), 'pod-template-hash'));
  const deployment = withoutTemplateHash(name, hash);
  return deployment === undefined ? `ReplicaSet/${name}` : `Deployment/${deployment}`;
}

/**
 * A Deployment names its ReplicaSets `<deployment>-<pod-template-hash>`. Where the pod has no such
 * label, the last part counts when it is written in the alphabet of those hashes (Kubernetes'
 * `rand.SafeEncodeString`: no vowels, no 0, 1, 3).
 */
function withoutTemplateHash(replicaSet: string, hash: string | undefined): string | undefined {
  const dash = replicaSet.lastIndexOf('-');
  if (dash <= 0) return undefined;
  const last = replicaSet.slice(dash + 1);
  const looksLikeHash = /^[bcdfghjklmnpqrstvwxz2456789]{6,10}$/.test(last);
  const isHash = hash === undefined ? looksLikeHash : last === hash;
  return isHash ? replicaSet.slice(0, dash) : undefined;
}
