// The EndpointSlice controller's part, pure: which slices a Service with a selector should have,
// given the pods. One slice per set of resolved ports, because a slice has its ports in common;
// where pods share an address each has its own.
import { contentHash } from '../../lib/hash.ts';
import {
  at,
  isObject,
  listAt,
  nameOf,
  namespaceOf,
  numberAt,
  objectAt,
  sameJson,
  textAt,
  type Json,
  type JsonObject,
} from '../server/json.ts';
import { matchesAll } from '../server/selectors.ts';

const serviceNameLabel = 'kubernetes.io/service-name';
const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
const headlessLabel = 'service.kubernetes.io/headless';
const managedBy = 'endpointslice-controller.k8s.io';

/** Where a pod's declared port is really bound. */
export type PortLookup = (pod: JsonObject, port: number) => number;

/**
 * Number of a Service's target port in a pod; `undefined` when the pod has no port of that name.
 */
function targetPortOf(servicePort: Json, pod: JsonObject): number | undefined {
  const target = at(servicePort, 'targetPort') ?? at(servicePort, 'port');
  if (typeof target === 'number') return target;
  for (const container of listAt(pod, 'spec', 'containers')) {
    const found = listAt(container, 'ports').find((port) => textAt(port, 'name') === target);
    if (found !== undefined) return numberAt(found, 'containerPort');
  }
  return undefined;
}

/** By the condition alone, as the EndpointSlice controller looks at it. */
export function isReady(pod: JsonObject): boolean {
  return listAt(pod, 'status', 'conditions').some(
    (condition) => textAt(condition, 'type') === 'Ready' && textAt(condition, 'status') === 'True',
  );
}

function isTerminating(pod: JsonObject): boolean {
  return textAt(pod, 'metadata', 'deletionTimestamp') !== undefined;
}

function isSelected(service: JsonObject, pod: JsonObject): boolean {
  const selector = objectAt(service, 'spec', 'selector');
  const phase = textAt(pod, 'status', 'phase');
  return (
    namespaceOf(pod) === namespaceOf(service) &&
    Object.keys(selector).length > 0 &&
    matchesAll(selector, objectAt(pod, 'metadata', 'labels')) &&
    (textAt(pod, 'status', 'podIP') ?? '') !== '' &&
    phase !== 'Succeeded' &&
    phase !== 'Failed'
  );
}

function endpointOf(service: JsonObject, pod: JsonObject): JsonObject {
  // Published addresses are called ready whatever they are; `serving` still tells the truth.
  const isPublished = at(service, 'spec', 'publishNotReadyAddresses') === true;
  const serving = isReady(pod);
  const terminating = isTerminating(pod);
  const nodeName = textAt(pod, 'spec', 'nodeName') ?? '';
  return {
    addresses: [textAt(pod, 'status', 'podIP') ?? ''],
    conditions: { ready: isPublished || (serving && !terminating), serving, terminating },
    ...(nodeName === '' ? {} : { nodeName }),
    targetRef: {
      kind: 'Pod',
      namespace: namespaceOf(pod),
      name: nameOf(pod),
      uid: textAt(pod, 'metadata', 'uid') ?? '',
    },
  };
}

function portsOf(service: JsonObject, pod: JsonObject, lookup: PortLookup): Json[] {
  return listAt(service, 'spec', 'ports').flatMap((port): Json[] => {
    const target = targetPortOf(port, pod);
    if (target === undefined) return [];
    const protocol = textAt(port, 'protocol') ?? 'TCP';
    const made: JsonObject = {
      name: textAt(port, 'name') ?? '',
      port: protocol === 'TCP' ? lookup(pod, target) : target,
      protocol,
    };
    const appProtocol = textAt(port, 'appProtocol');
    if (appProtocol !== undefined) made.appProtocol = appProtocol;
    return [made];
  });
}

/** Those of the Service, and what tells whose the slice is. */
function sliceLabels(service: JsonObject): JsonObject {
  const labels: JsonObject = { ...objectAt(service, 'metadata', 'labels') };
  delete labels[headlessLabel];
  if (textAt(service, 'spec', 'clusterIP') === 'None') labels[headlessLabel] = '';
  labels[serviceNameLabel] = nameOf(service);
  labels[managedByLabel] = managedBy;
  return labels;
}

export function labelsOf(object: JsonObject): JsonObject {
  return objectAt(object, 'metadata', 'labels');
}

/** Whether a slice that is there says what the desired one of its name does. */
export function isAsDesired(slice: JsonObject, desired: JsonObject): boolean {
  return (
    sameJson(slice.endpoints, desired.endpoints) &&
    sameJson(slice.ports, desired.ports) &&
    sameJson(labelsOf(slice), labelsOf(desired))
  );
}

/** The slices that `service` should have now, by name. */
export function desiredSlices(
  service: JsonObject,
  pods: readonly JsonObject[],
  lookup: PortLookup,
): readonly JsonObject[] {
  const byPorts = new Map<string, { ports: Json[]; endpoints: Json[] }>();
  for (const pod of pods) {
    if (!isSelected(service, pod)) continue;
    const ports = portsOf(service, pod, lookup);
    const key = JSON.stringify(ports);
    const group = byPorts.get(key) ?? { ports, endpoints: [] };
    group.endpoints.push(endpointOf(service, pod));
    byPorts.set(key, group);
  }
  return [...byPorts].map(([key, { ports, endpoints }]) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${nameOf(service)}-${contentHash(key).slice(0, 5)}`,
      namespace: namespaceOf(service),
      labels: sliceLabels(service),
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          name: nameOf(service),
          uid: textAt(service, 'metadata', 'uid') ?? '',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    addressType: 'IPv4',
    endpoints,
    ports,
  }));
}

/** Slices of this service that the simulator keeps; a user's own slices are left alone. */
export function isKeptFor(slice: JsonObject, service: JsonObject): boolean {
  const labels = at(slice, 'metadata', 'labels');
  return (
    namespaceOf(slice) === namespaceOf(service) &&
    textAt(labels, serviceNameLabel) === nameOf(service) &&
    textAt(labels, managedByLabel) === managedBy
  );
}

/** Slices of a Service without one are its owner's business. */
export function hasSelector(service: JsonObject): boolean {
  const selector = at(service, 'spec', 'selector');
  return isObject(selector) && Object.keys(selector).length > 0;
}
