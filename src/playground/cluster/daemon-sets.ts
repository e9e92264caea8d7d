// The DaemonSet controller's part, pure: the pod that a node lacks, the pod that is to be replaced
// next, the status. A node has one pod at a time: an old one goes before the new one comes, because
// a node's proxy has one address here (maxSurge is not played).
import { nameOf, namespaceOf, numberAt, objectAt, textAt } from '../server/json.ts';
import type { JsonObject } from '../server/json.ts';
import { isReady } from './endpoint-slices.ts';
import { isOwnedBy, ownerReference, templateHash } from './workloads.ts';

const revisionLabel = 'controller-revision-hash';

/** The pod of a set on one node. */
export function daemonPod(set: JsonObject, nodeName: string, suffix: string): JsonObject {
  const template = objectAt(set, 'spec', 'template');
  const metadata = objectAt(template, 'metadata');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      labels: { ...objectAt(metadata, 'labels'), [revisionLabel]: templateHash(set) },
      name: `${nameOf(set)}-${suffix}`,
      namespace: namespaceOf(set),
      ownerReferences: [ownerReference(set, 'apps/v1', 'DaemonSet')],
    },
    spec: { ...objectAt(template, 'spec'), nodeName },
  };
}

function ownPods(set: JsonObject, pods: readonly JsonObject[]): readonly JsonObject[] {
  return pods.filter((pod) => isOwnedBy(pod, set));
}

function isLive(pod: JsonObject): boolean {
  return textAt(pod, 'metadata', 'deletionTimestamp') === undefined;
}

function isCurrent(set: JsonObject, pod: JsonObject): boolean {
  return textAt(pod, 'metadata', 'labels', revisionLabel) === templateHash(set);
}

function nodeOf(pod: JsonObject): string {
  return textAt(pod, 'spec', 'nodeName') ?? '';
}

/** Nodes without a pod of the set, not even one that is about to end. */
export function nodesWithout(
  set: JsonObject,
  nodes: readonly string[],
  pods: readonly JsonObject[],
): readonly string[] {
  const served = new Set(ownPods(set, pods).map(nodeOf));
  return nodes.filter((node) => !served.has(node));
}

/** One of an older template, once all nodes have a ready pod; never with strategy OnDelete. */
export function podToReplace(
  set: JsonObject,
  nodes: readonly string[],
  pods: readonly JsonObject[],
): JsonObject | undefined {
  if (textAt(set, 'spec', 'updateStrategy', 'type') === 'OnDelete') return undefined;
  const live = ownPods(set, pods).filter(isLive);
  const served = new Set(live.filter(isReady).map(nodeOf));
  if (!nodes.every((node) => served.has(node))) return undefined;
  return live.find((pod) => !isCurrent(set, pod));
}

/** What `kubectl get ds` and `kubectl rollout status ds` read. */
export function daemonSetStatus(
  set: JsonObject,
  nodes: readonly string[],
  pods: readonly JsonObject[],
): JsonObject {
  const live = ownPods(set, pods).filter((pod) => isLive(pod) && nodes.includes(nodeOf(pod)));
  const ready = live.filter(isReady).length;
  const status: JsonObject = {
    currentNumberScheduled: live.length,
    desiredNumberScheduled: nodes.length,
    numberMisscheduled: 0,
    numberReady: ready,
    observedGeneration: numberAt(set, 'metadata', 'generation') ?? 0,
  };
  // As the real controller leaves out what is nought.
  const updated = live.filter((pod) => isCurrent(set, pod)).length;
  if (updated > 0) status.updatedNumberScheduled = updated;
  if (ready > 0) status.numberAvailable = ready;
  if (ready < nodes.length) status.numberUnavailable = nodes.length - ready;
  return status;
}
