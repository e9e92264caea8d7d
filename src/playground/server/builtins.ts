// The kinds that are served from the start, as a table. What the server decides for one of them
// beyond its fields is in rules.ts, its printer columns are in builtin-columns.ts.
import { builtInColumns } from './builtin-columns.ts';
import { collectionOf, type ResourceKind } from './kinds.ts';
import * as core from './schemas/core.ts';
import * as groups from './schemas/groups.ts';
import { podSpec, podStatus } from './schemas/pod.ts';
import { object, type Fields } from './schemas/words.ts';

type BuiltIn = {
  readonly group?: string;
  readonly version?: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly isNamespaced?: boolean;
  readonly subresources?: readonly string[];
  /** Fields besides apiVersion, kind and metadata. */
  readonly fields: Fields;
  readonly selectableFields?: readonly string[];
  readonly hasGeneration?: boolean;
  readonly needsVersion?: boolean;
  readonly answersDeleted?: boolean;
};

function kind(given: BuiltIn): ResourceKind {
  return {
    group: given.group ?? '',
    version: given.version ?? 'v1',
    kind: given.kind,
    plural: given.plural,
    singular: given.kind.toLowerCase(),
    shortNames: given.shortNames ?? [],
    categories: given.categories ?? [],
    isNamespaced: given.isNamespaced ?? true,
    subresources: given.subresources ?? [],
    schema: object(given.fields),
    columns:
      builtInColumns.get(collectionOf({ group: given.group ?? '', plural: given.plural })) ?? [],
    selectableFields: given.selectableFields ?? [],
    hasGeneration: given.hasGeneration ?? false,
    needsVersion: given.needsVersion ?? false,
    isCustom: false,
    answersDeleted: given.answersDeleted ?? false,
  };
}

const eventFields = [
  'involvedObject.kind',
  'involvedObject.namespace',
  'involvedObject.name',
  'involvedObject.uid',
  'involvedObject.apiVersion',
  'involvedObject.resourceVersion',
  'involvedObject.fieldPath',
  'reason',
  'reportingComponent',
  'source',
  'type',
];
const podFields = [
  'spec.nodeName',
  'spec.restartPolicy',
  'spec.schedulerName',
  'spec.serviceAccountName',
  'spec.hostNetwork',
  'status.phase',
  'status.podIP',
  'status.nominatedNodeName',
];

const coreKinds: readonly BuiltIn[] = [
  {
    kind: 'Namespace',
    fields: core.namespace,
    plural: 'namespaces',
    shortNames: ['ns'],
    isNamespaced: false,
    subresources: ['status', 'finalize'],
    selectableFields: ['status.phase'],
    answersDeleted: true,
  },
  {
    kind: 'Service',
    fields: core.service,
    plural: 'services',
    shortNames: ['svc'],
    categories: ['all'],
    subresources: ['status'],
    selectableFields: ['spec.clusterIP', 'spec.type'],
    answersDeleted: true,
  },
  {
    kind: 'Pod',
    fields: { spec: podSpec, status: podStatus },
    plural: 'pods',
    shortNames: ['po'],
    categories: ['all'],
    subresources: ['status', 'proxy'],
    selectableFields: podFields,
    hasGeneration: true,
    answersDeleted: true,
  },
  {
    kind: 'Node',
    fields: core.node,
    plural: 'nodes',
    shortNames: ['no'],
    isNamespaced: false,
    subresources: ['status'],
    selectableFields: ['spec.unschedulable'],
  },
  {
    kind: 'ServiceAccount',
    fields: core.serviceAccount,
    plural: 'serviceaccounts',
    shortNames: ['sa'],
    subresources: ['token'],
    answersDeleted: true,
  },
  { kind: 'ConfigMap', fields: core.configMap, plural: 'configmaps', shortNames: ['cm'] },
  { kind: 'Secret', fields: core.secret, plural: 'secrets', selectableFields: ['type'] },
  { kind: 'Endpoints', fields: core.endpoints, plural: 'endpoints', shortNames: ['ep'] },
  {
    kind: 'Event',
    fields: core.coreEvent,
    plural: 'events',
    shortNames: ['ev'],
    selectableFields: eventFields,
  },
];

const groupedKinds: readonly BuiltIn[] = [
  {
    group: 'apps',
    kind: 'Deployment',
    fields: groups.deployment,
    plural: 'deployments',
    shortNames: ['deploy'],
    categories: ['all'],
    subresources: ['status', 'scale'],
    hasGeneration: true,
  },
  {
    group: 'apps',
    kind: 'ReplicaSet',
    fields: groups.replicaSet,
    plural: 'replicasets',
    shortNames: ['rs'],
    categories: ['all'],
    subresources: ['status', 'scale'],
    hasGeneration: true,
  },
  {
    group: 'apps',
    kind: 'DaemonSet',
    fields: groups.daemonSet,
    plural: 'daemonsets',
    shortNames: ['ds'],
    categories: ['all'],
    subresources: ['status'],
    hasGeneration: true,
  },
  {
    group: 'apps',
    kind: 'StatefulSet',
    fields: groups.statefulSet,
    plural: 'statefulsets',
    shortNames: ['sts'],
    categories: ['all'],
    subresources: ['status', 'scale'],
    hasGeneration: true,
  },
  {
    group: 'batch',
    kind: 'Job',
    fields: groups.job,
    plural: 'jobs',
    categories: ['all'],
    subresources: ['status'],
    hasGeneration: true,
  },
  {
    group: 'discovery.k8s.io',
    kind: 'EndpointSlice',
    fields: groups.endpointSlice,
    plural: 'endpointslices',
    hasGeneration: true,
  },
  {
    group: 'coordination.k8s.io',
    kind: 'Lease',
    fields: groups.lease,
    plural: 'leases',
    needsVersion: true,
  },
  {
    group: 'events.k8s.io',
    kind: 'Event',
    fields: core.newEvent,
    plural: 'events',
    shortNames: ['ev'],
    selectableFields: ['reason', 'type', 'reportingController'],
  },
  {
    group: 'certificates.k8s.io',
    kind: 'CertificateSigningRequest',
    fields: groups.certificateRequest,
    plural: 'certificatesigningrequests',
    shortNames: ['csr'],
    isNamespaced: false,
    subresources: ['status', 'approval'],
    selectableFields: ['spec.signerName'],
  },
  {
    group: 'apiextensions.k8s.io',
    kind: 'CustomResourceDefinition',
    fields: groups.definition,
    plural: 'customresourcedefinitions',
    shortNames: ['crd', 'crds'],
    isNamespaced: false,
    categories: ['api-extensions'],
    subresources: ['status'],
    hasGeneration: true,
    answersDeleted: true,
  },
  {
    group: 'authorization.k8s.io',
    kind: 'SelfSubjectAccessReview',
    fields: groups.review,
    plural: 'selfsubjectaccessreviews',
    isNamespaced: false,
  },
  {
    group: 'authentication.k8s.io',
    kind: 'TokenReview',
    fields: groups.review,
    plural: 'tokenreviews',
    isNamespaced: false,
  },
  {
    group: 'authentication.k8s.io',
    kind: 'SelfSubjectReview',
    fields: groups.review,
    plural: 'selfsubjectreviews',
    isNamespaced: false,
  },
];

/** In the order in which discovery lists them. */
export function builtInKinds(): readonly ResourceKind[] {
  return [...coreKinds, ...groupedKinds].map(kind);
}
