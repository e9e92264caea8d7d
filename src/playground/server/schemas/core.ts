// Schemas of core/v1 kinds other than pods.
// Only the fields that exist in core/v1 are named; what is inside rare ones is taken as it is.
import {
  anything,
  atomic,
  bytes,
  conditions,
  described,
  flag,
  intOrText,
  listByKey,
  listOf,
  mapOf,
  mapOfText,
  object,
  setOf,
  text,
  time,
  whole,
  withDefault,
} from './words.ts';

const servicePort = object(
  {
    name: described('Needed when the service has several ports.', text),
    port: described('The port that the service is reached at.', whole),
    protocol: withDefault(text, 'TCP'),
    targetPort: described(
      "Number or name of the pods' port; the same as port by default.",
      intOrText,
    ),
    appProtocol: text,
    nodePort: whole,
  },
  ['port'],
);

/** The Service, whose ports merge by port and protocol. */
export const service = {
  spec: object({
    ports: listByKey(['port', 'protocol'], servicePort),
    selector: described('Labels of the pods that serve it.', atomic(mapOfText)),
    clusterIP: text,
    clusterIPs: listOf(text),
    type: text,
    externalIPs: listOf(text),
    sessionAffinity: text,
    sessionAffinityConfig: anything,
    loadBalancerIP: text,
    loadBalancerSourceRanges: listOf(text),
    loadBalancerClass: text,
    externalName: text,
    externalTrafficPolicy: text,
    internalTrafficPolicy: text,
    trafficDistribution: text,
    healthCheckNodePort: whole,
    publishNotReadyAddresses: flag,
    ipFamilies: listOf(text),
    ipFamilyPolicy: text,
    allocateLoadBalancerNodePorts: flag,
  }),
  status: object({ conditions, loadBalancer: anything }),
};

/** The Namespace; its finalizer is Kubernetes' own. */
export const namespace = {
  spec: object({ finalizers: setOf(text) }),
  status: object({ phase: text, conditions }),
};

const nodeAddress = object({ type: text, address: text }, ['type', 'address']);

/** The Node, as a kubelet would report it. */
export const node = {
  spec: object({
    podCIDR: text,
    podCIDRs: setOf(text),
    providerID: text,
    unschedulable: flag,
    taints: listOf(anything),
    configSource: anything,
    externalID: text,
  }),
  status: object({
    addresses: listByKey(['type'], nodeAddress),
    conditions,
    capacity: mapOf(intOrText),
    allocatable: mapOf(intOrText),
    nodeInfo: anything,
    phase: text,
    images: listOf(anything),
    daemonEndpoints: anything,
    volumesInUse: listOf(text),
    volumesAttached: listOf(anything),
    config: anything,
    features: anything,
    runtimeHandlers: listOf(anything),
  }),
};

const reference = atomic(
  object({
    apiVersion: text,
    kind: text,
    namespace: text,
    name: text,
    uid: text,
    resourceVersion: text,
    fieldPath: text,
  }),
);

/** The ServiceAccount; tokens are issued by the server itself. */
export const serviceAccount = {
  automountServiceAccountToken: flag,
  secrets: listByKey(['name'], anything),
  imagePullSecrets: listByKey(['name'], object({ name: text })),
};

/** The ConfigMap. */
export const configMap = {
  data: mapOfText,
  binaryData: mapOf(bytes),
  immutable: flag,
};

/** The Secret; `stringData` is write-only. */
export const secret = {
  data: mapOf(bytes),
  stringData: mapOfText,
  type: text,
  immutable: flag,
};

/** Endpoints are served for old clients and written by nobody. */
export const endpoints = { subsets: listOf(anything) };

/** An event as core/v1 spells it, which is how it is stored. */
export const coreEvent = {
  involvedObject: reference,
  related: reference,
  reason: text,
  message: text,
  type: text,
  action: text,
  count: whole,
  eventTime: { ...time, nullable: true },
  firstTimestamp: { ...time, nullable: true },
  lastTimestamp: { ...time, nullable: true },
  reportingComponent: text,
  reportingInstance: text,
  source: object({ component: text, host: text }),
  series: object({ count: whole, lastObservedTime: time }),
};

/** The same event as events.k8s.io/v1 spells it. */
export const newEvent = {
  regarding: reference,
  related: reference,
  reason: text,
  note: text,
  type: text,
  action: text,
  eventTime: { ...time, nullable: true },
  reportingController: text,
  reportingInstance: text,
  series: object({ count: whole, lastObservedTime: time }),
  deprecatedCount: whole,
  deprecatedSource: object({ component: text, host: text }),
  deprecatedFirstTimestamp: { ...time, nullable: true },
  deprecatedLastTimestamp: { ...time, nullable: true },
};
