// Which objects outside the mesh namespace are of an installation: by kind, and by the label that
// all of them bear; requests for certificates by their signer, which nobody can change afterwards.
// What is removed and what is looked for afterwards is this one list.
import type { Connection, ResourcePath } from '../../kube/index.ts';
import { textAt } from '../../lib/raw-object.ts';
import { nameOf, readAll } from './read-cluster.ts';

const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' };
const admission = { group: 'admissionregistration.k8s.io', version: 'v1' };

export const crdPath: ResourcePath = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
};

type OurKind = { readonly kind: string; readonly path: ResourcePath };

/** In the order of removal; bindings before what they bind. */
export const clusterKinds: readonly OurKind[] = [
  {
    kind: 'ValidatingAdmissionPolicyBinding',
    path: { ...admission, plural: 'validatingadmissionpolicybindings' },
  },
  {
    kind: 'ValidatingAdmissionPolicy',
    path: { ...admission, plural: 'validatingadmissionpolicies' },
  },
  { kind: 'RoleBinding', path: { ...rbac, plural: 'rolebindings' } },
  { kind: 'Role', path: { ...rbac, plural: 'roles' } },
  { kind: 'ClusterRoleBinding', path: { ...rbac, plural: 'clusterrolebindings' } },
  { kind: 'ClusterRole', path: { ...rbac, plural: 'clusterroles' } },
];

/** Ours and those of others; `weft.dev/workload` signs for the mesh alone. */
export const requestPath: ResourcePath = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
};

const ourRequests = { fieldSelector: 'spec.signerName=weft.dev/workload' };

/** Names of the requests for certificates of the mesh. */
export function readRequests(connection: Connection): Promise<readonly string[]> {
  return readAll(connection, requestPath, nameOf, ourRequests);
}

/** For people. */
export function requestsText(names: readonly string[]): string {
  return `${names.length} CertificateSigningRequests of signer weft.dev/workload`;
}

export type SmiDefinition = { readonly name: string; readonly isOurs: boolean };

/** CRDs of SMI; others bring some, too, and those are theirs. */
export async function readDefinitions(connection: Connection): Promise<readonly SmiDefinition[]> {
  const all = await readAll(connection, crdPath, (object) => ({
    name: nameOf(object),
    isOurs: ourIdentity(object) !== undefined,
  }));
  return all.filter(({ name }) => name.endsWith('.smi-spec.io'));
}

export type OurIdentity = { readonly name: string; readonly namespace: string };

/** `undefined` for what is not of an installation. */
export function ourIdentity(object: unknown): OurIdentity | undefined {
  if (textAt(object, 'metadata', 'labels', 'app.kubernetes.io/name') !== 'weft') return undefined;
  return { name: nameOf(object), namespace: textAt(object, 'metadata', 'namespace') ?? '' };
}
