// Schemas of the kinds outside core/v1: workloads, slices, leases, certificate requests,
// definitions and reviews.
import {
  anything,
  anyValue,
  atomic,
  bytes,
  conditions,
  flag,
  intOrText,
  listOf,
  listOfText,
  long,
  mapOf,
  mapOfText,
  object,
  setOf,
  text,
  time,
  whole,
  withDefault,
  type Fields,
} from './words.ts';
import { labelSelector, podTemplate } from './pod.ts';

const workloadStatus = {
  replicas: whole,
  readyReplicas: whole,
  availableReplicas: whole,
  unavailableReplicas: whole,
  updatedReplicas: whole,
  fullyLabeledReplicas: whole,
  terminatingReplicas: whole,
  collisionCount: whole,
  observedGeneration: long,
  conditions,
};

const strategy = object({
  type: text,
  rollingUpdate: object({ maxSurge: intOrText, maxUnavailable: intOrText, partition: whole }),
});

/** apps/v1 Deployment. */
export const deployment: Fields = {
  spec: object(
    {
      replicas: whole,
      selector: labelSelector,
      template: podTemplate,
      strategy,
      minReadySeconds: whole,
      revisionHistoryLimit: whole,
      progressDeadlineSeconds: whole,
      paused: flag,
    },
    ['selector', 'template'],
  ),
  status: object(workloadStatus),
};

/** apps/v1 ReplicaSet. */
export const replicaSet: Fields = {
  spec: object(
    {
      replicas: whole,
      selector: labelSelector,
      template: podTemplate,
      minReadySeconds: whole,
    },
    ['selector'],
  ),
  status: object(workloadStatus),
};

/** apps/v1 DaemonSet; nobody here runs its pods. */
export const daemonSet: Fields = {
  spec: object(
    {
      selector: labelSelector,
      template: podTemplate,
      updateStrategy: strategy,
      minReadySeconds: whole,
      revisionHistoryLimit: whole,
    },
    ['selector', 'template'],
  ),
  status: object({
    ...workloadStatus,
    currentNumberScheduled: whole,
    desiredNumberScheduled: whole,
    numberAvailable: whole,
    numberMisscheduled: whole,
    numberReady: whole,
    numberUnavailable: whole,
    updatedNumberScheduled: whole,
  }),
};

/** apps/v1 StatefulSet; nobody here runs its pods. */
export const statefulSet: Fields = {
  spec: object(
    {
      replicas: whole,
      selector: labelSelector,
      template: podTemplate,
      serviceName: text,
      updateStrategy: strategy,
      podManagementPolicy: text,
      volumeClaimTemplates: listOf(anything),
      minReadySeconds: whole,
      revisionHistoryLimit: whole,
      persistentVolumeClaimRetentionPolicy: anything,
      ordinals: anything,
    },
    ['selector', 'template'],
  ),
  status: object({
    ...workloadStatus,
    currentReplicas: whole,
    currentRevision: text,
    updateRevision: text,
  }),
};

/** batch/v1 Job; nobody here runs its pods. */
export const job: Fields = {
  spec: object(
    {
      parallelism: whole,
      completions: whole,
      activeDeadlineSeconds: long,
      podFailurePolicy: anything,
      successPolicy: anything,
      backoffLimit: whole,
      backoffLimitPerIndex: whole,
      maxFailedIndexes: whole,
      selector: labelSelector,
      manualSelector: flag,
      template: podTemplate,
      ttlSecondsAfterFinished: whole,
      completionMode: text,
      suspend: flag,
      podReplacementPolicy: text,
      managedBy: text,
    },
    ['template'],
  ),
  status: object({
    conditions,
    startTime: time,
    completionTime: time,
    active: whole,
    succeeded: whole,
    failed: whole,
    terminating: whole,
    ready: whole,
    completedIndexes: text,
    failedIndexes: text,
    uncountedTerminatedPods: anything,
  }),
};

const sliceReference = atomic(
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

/** discovery.k8s.io/v1 EndpointSlice. */
export const endpointSlice: Fields = {
  addressType: text,
  endpoints: listOf(
    object(
      {
        addresses: setOf(text),
        conditions: object({ ready: flag, serving: flag, terminating: flag }),
        hostname: text,
        nodeName: text,
        zone: text,
        targetRef: sliceReference,
        deprecatedTopology: mapOfText,
        hints: anything,
      },
      ['addresses'],
    ),
  ),
  ports: listOf(object({ name: text, port: whole, protocol: text, appProtocol: text })),
};

/** coordination.k8s.io/v1 Lease. */
export const lease: Fields = {
  spec: object({
    holderIdentity: text,
    leaseDurationSeconds: whole,
    acquireTime: time,
    renewTime: time,
    leaseTransitions: whole,
    strategy: text,
    preferredHolder: text,
  }),
};

/** certificates.k8s.io/v1 CertificateSigningRequest. */
export const certificateRequest: Fields = {
  spec: object(
    {
      request: bytes,
      signerName: text,
      usages: listOfText,
      expirationSeconds: whole,
      username: text,
      uid: text,
      groups: listOfText,
      extra: mapOf(listOfText),
    },
    ['request', 'signerName'],
  ),
  status: object({ certificate: bytes, conditions }),
};

const definitionVersion = object(
  {
    name: text,
    served: flag,
    storage: flag,
    deprecated: flag,
    deprecationWarning: text,
    schema: object({ openAPIV3Schema: anything }),
    subresources: object({ status: anything, scale: anything }),
    additionalPrinterColumns: listOf(
      object({
        name: text,
        type: text,
        format: text,
        description: text,
        priority: whole,
        jsonPath: text,
      }),
    ),
    selectableFields: listOf(object({ jsonPath: text })),
  },
  ['name', 'served', 'storage'],
);

const definitionNames = object(
  {
    plural: text,
    singular: text,
    kind: text,
    listKind: text,
    shortNames: listOfText,
    categories: listOfText,
  },
  ['plural', 'kind'],
);

/** apiextensions.k8s.io/v1 CustomResourceDefinition; its schemas are judged by `api`. */
export const definition: Fields = {
  spec: object(
    {
      group: text,
      names: definitionNames,
      scope: text,
      versions: listOf(definitionVersion),
      conversion: anything,
      preserveUnknownFields: flag,
    },
    ['group', 'names', 'scope', 'versions'],
  ),
  status: object({ conditions, acceptedNames: definitionNames, storedVersions: listOfText }),
};

/** Reviews are questions: their spec is taken as it is, their status is the answer. */
export const review: Fields = { spec: withDefault(anything, {}), status: anyValue };
