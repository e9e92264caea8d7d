// The kinds that are served from the start.
import type { Column, ResourceKind } from './kinds.ts';
import type { JsonObject } from './json.ts';

export type BuiltIn = {
  readonly group?: string;
  readonly version?: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly isNamespaced?: boolean;
  readonly subresources?: readonly string[];
  readonly schema?: JsonObject;
  readonly columns?: readonly Column[];
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
    schema: given.schema,
    columns: given.columns ?? [],
    selectableFields: given.selectableFields ?? [],
    hasGeneration: given.hasGeneration ?? false,
    needsVersion: given.needsVersion ?? false,
    isCustom: false,
    answersDeleted: given.answersDeleted ?? false,
  };
}

const eventFields = [
  'involvedObject.kind', 'involvedObject.namespace', 'involvedObject.name', 'involvedObject.uid',
  'involvedObject.apiVersion', 'involvedObject.resourceVersion', 'involvedObject.fieldPath',
  'reason', 'reportingComponent', 'source', 'type',
];
const podFields = [
  'spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName',
  'spec.hostNetwork', 'status.phase', 'status.podIP', 'status.nominatedNodeName',
];

const coreKinds: readonly BuiltIn[] = [
  { kind: 'Namespace', plural: 'namespaces', shortNames: ['ns'], isNamespaced: false,
    subresources: ['status', 'finalize'], selectableFields: ['status.phase'], answersDeleted: true },
  { kind: 'Service', plural: 'services', shortNames: ['svc'], categories: ['all'],
    subresources: ['status'], selectableFields: ['spec.clusterIP', 'spec.type'], answersDeleted: true },
  { kind: 'Pod', plural: 'pods', shortNames: ['po'], categories: ['all'], subresources: ['status'],
    selectableFields: podFields, hasGeneration: true, answersDeleted: true },
  { kind: 'Node', plural: 'nodes', shortNames: ['no'], isNamespaced: false,
    subresources: ['status'], selectableFields: ['spec.unschedulable'] },
  { kind: 'ServiceAccount', plural: 'serviceaccounts', shortNames: ['sa'], answersDeleted: true },
  { kind: 'ConfigMap', plural: 'configmaps', shortNames: ['cm'] },
  { kind: 'Secret', plural: 'secrets', selectableFields: ['type'] },
  { kind: 'Endpoints', plural: 'endpoints', shortNames: ['ep'] },
  { kind: 'Event', plural: 'events', shortNames: ['ev'], selectableFields: eventFields },
];

const groupedKinds: readonly BuiltIn[] = [
  { group: 'apps', kind: 'Deployment', plural: 'deployments', shortNames: ['deploy'],
    categories: ['all'], subresources: ['status', 'scale'], hasGeneration: true },
  { group: 'apps', kind: 'ReplicaSet', plural: 'replicasets', shortNames: ['rs'],
    categories: ['all'], subresources: ['status', 'scale'], hasGeneration: true },
  { group: 'apps', kind: 'DaemonSet', plural: 'daemonsets', shortNames: ['ds'],
    categories: ['all'], subresources: ['status'], hasGeneration: true },
  { group: 'apps', kind: 'StatefulSet', plural: 'statefulsets', shortNames: ['sts'],
    categories: ['all'], subresources: ['status', 'scale'], hasGeneration: true },
  { group: 'discovery.k8s.io', kind: 'EndpointSlice', plural: 'endpointslices',
    hasGeneration: true },
  { group: 'coordination.k8s.io', kind: 'Lease', plural: 'leases', needsVersion: true },
  { group: 'events.k8s.io', kind: 'Event', plural: 'events', shortNames: ['ev'],
    selectableFields: ['reason', 'type', 'reportingController'] },
  { group: 'certificates.k8s.io', kind: 'CertificateSigningRequest',
    plural: 'certificatesigningrequests', shortNames: ['csr'], isNamespaced: false,
    subresources: ['status', 'approval'], selectableFields: ['spec.signerName'] },
  { group: 'apiextensions.k8s.io', kind: 'CustomResourceDefinition',
    plural: 'customresourcedefinitions', shortNames: ['crd', 'crds'], isNamespaced: false,
    categories: ['api-extensions'], subresources: ['status'], hasGeneration: true,
    answersDeleted: true },
  { group: 'authorization.k8s.io', kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews', isNamespaced: false },
  { group: 'authentication.k8s.io', kind: 'TokenReview', plural: 'tokenreviews',
    isNamespaced: false },
  { group: 'authentication.k8s.io', kind: 'SelfSubjectReview', plural: 'selfsubjectreviews',
    isNamespaced: false },
];

export function builtInKinds(): readonly ResourceKind[] {
  return [...coreKinds, ...groupedKinds].map(kind);
}
