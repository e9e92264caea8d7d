// The Deployment and ReplicaSet controllers' part, pure: which replica set a deployment should
// have, which pods a replica set lacks or has too many of. A rollout is simple – all new pods
// first, the old ones go when the new ones are ready – because the demo shows the mesh, not
// rollouts.
import { contentHash } from '../../lib/hash.ts';
import {
  at,
  isObject,
  listAt,
  nameOf,
  namespaceOf,
  numberAt,
  objectAt,
  textAt,
  type JsonObject,
} from '../server/json.ts';
import { isReady } from './endpoint-slices.ts';

/** One where nothing is said. */
export function replicasOf(object: JsonObject): number {
  return numberAt(object, 'spec', 'replicas') ?? 1;
}

/** Empty for an object that was never stored. */
export function uidOf(object: JsonObject): string {
  return textAt(object, 'metadata', 'uid') ?? '';
}

/** Whether `owner` is the controller of `object`. */
export function isOwnedBy(object: JsonObject, owner: JsonObject): boolean {
  return listAt(object, 'metadata', 'ownerReferences').some(
    (reference) =>
      at(reference, 'controller') === true && textAt(reference, 'uid') === uidOf(owner),
  );
}

/** The reference by which `owner` controls an object. */
export function ownerReference(owner: JsonObject, apiVersion: string, kind: string): JsonObject {
  return {
    apiVersion,
    kind,
    name: nameOf(owner),
    uid: uidOf(owner),
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** Ten characters that name a pod template, as the label `pod-template-hash`. */
export function templateHash(deployment: JsonObject): string {
  return contentHash(JSON.stringify(objectAt(deployment, 'spec', 'template'))).slice(0, 10);
}

function labelled(template: JsonObject, hash: string): JsonObject {
  const metadata = objectAt(template, 'metadata');
  const labels = { ...objectAt(metadata, 'labels'), 'pod-template-hash': hash };
  return { ...template, metadata: { ...metadata, labels } };
}

/** The replica set of the deployment's present template. */
export function desiredReplicaSet(deployment: JsonObject): JsonObject {
  const hash = templateHash(deployment);
  const spec = objectAt(deployment, 'spec');
  const template = labelled(objectAt(spec, 'template'), hash);
  const matchLabels = { ...objectAt(spec, 'selector', 'matchLabels'), 'pod-template-hash': hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${nameOf(deployment)}-${hash}`,
      namespace: namespaceOf(deployment),
      labels: objectAt(template, 'metadata', 'labels'),
      ownerReferences: [ownerReference(deployment, 'apps/v1', 'Deployment')],
    },
    spec: { replicas: replicasOf(deployment), selector: { matchLabels }, template },
  };
}

/** The pod of a replica set's template on a given node. */
export function desiredPod(replicaSet: JsonObject, suffix: string, nodeName: string): JsonObject {
  const template = objectAt(replicaSet, 'spec', 'template');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...objectAt(template, 'metadata'),
      name: `${nameOf(replicaSet)}-${suffix}`,
      namespace: namespaceOf(replicaSet),
      ownerReferences: [ownerReference(replicaSet, 'apps/v1', 'ReplicaSet')],
    },
    spec: { ...objectAt(template, 'spec'), nodeName },
  };
}

/** Pods of a replica set that are not on their way out. */
export function livePods(
  replicaSet: JsonObject,
  pods: readonly JsonObject[],
): readonly JsonObject[] {
  return pods.filter(
    (pod) =>
      isOwnedBy(pod, replicaSet) && textAt(pod, 'metadata', 'deletionTimestamp') === undefined,
  );
}

/** What `kubectl get` and `kubectl rollout` read of a replica set. */
export function replicaSetStatus(replicaSet: JsonObject, pods: readonly JsonObject[]): JsonObject {
  const live = livePods(replicaSet, pods);
  const ready = live.filter(isReady).length;
  return {
    replicas: live.length,
    fullyLabeledReplicas: live.length,
    readyReplicas: ready,
    availableReplicas: ready,
    observedGeneration: numberAt(replicaSet, 'metadata', 'generation') ?? 0,
  };
}

/** What `kubectl get`, `rollout` and `wait --for=condition=Available` read. */
export function deploymentStatus(
  deployment: JsonObject,
  sets: readonly JsonObject[],
  pods: readonly JsonObject[],
): JsonObject {
  const own = sets.filter((set) => isOwnedBy(set, deployment));
  const live = own.flatMap((set) => livePods(set, pods));
  const current = own.filter((set) => nameOf(set).endsWith(`-${templateHash(deployment)}`));
  const ready = live.filter(isReady).length;
  const wanted = replicasOf(deployment);
  const isAvailable = ready >= wanted;
  return {
    replicas: live.length,
    updatedReplicas: current.flatMap((set) => livePods(set, pods)).length,
    readyReplicas: ready,
    availableReplicas: ready,
    unavailableReplicas: Math.max(0, wanted - ready),
    observedGeneration: numberAt(deployment, 'metadata', 'generation') ?? 0,
    conditions: [
      {
        type: 'Available',
        status: isAvailable ? 'True' : 'False',
        reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: isAvailable
          ? 'Deployment has minimum availability.'
          : 'Deployment does not have minimum availability.',
      },
    ],
  };
}

/** Container ports that a pod declares; 8080 when it declares none. */
export function containerPorts(pod: JsonObject): readonly number[] {
  const ports = listAt(pod, 'spec', 'containers')
    .flatMap((container) => listAt(container, 'ports'))
    .filter((port) => isObject(port) && (textAt(port, 'protocol') ?? 'TCP') === 'TCP')
    .flatMap((port) => numberAt(port, 'containerPort') ?? []);
  return ports.length === 0 ? [8080] : [...new Set(ports)];
}
