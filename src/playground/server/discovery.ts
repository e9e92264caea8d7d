// Discovery documents: which groups, versions and kinds are served now. Plain lists only; clients
// that ask for the aggregated form take these instead.
import type { Json, JsonObject } from './json.ts';
import { apiVersionOf, byPreference, type Registry, type ResourceKind } from './kinds.ts';

/** The Kubernetes release whose behaviour is imitated. */
const imitatedVersion = { major: '1', minor: '34', gitVersion: 'v1.34.4+weft-playground' };

/** `/version`; kubectl compares minor versions with its own. */
export function versionDocument(): JsonObject {
  return {
    ...imitatedVersion,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: 'weft',
    platform: 'linux/amd64',
  };
}

/** `/api` */
export function coreVersions(serverAddress: string): JsonObject {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

function groupDocument(group: string, versions: readonly string[]): JsonObject {
  const listed = [...versions]
    .sort(byPreference)
    .map((version): JsonObject => ({ groupVersion: `${group}/${version}`, version }));
  const preferred = listed[0] ?? {};
  return { name: group, versions: listed, preferredVersion: preferred };
}

/** `/apis` */
export function groupList(registry: Registry): JsonObject {
  const groups: Json[] = [...registry.groups()]
    .filter(([group]) => group !== '')
    .map(([group, versions]) => groupDocument(group, versions));
  return { kind: 'APIGroupList', apiVersion: 'v1', groups };
}

/** `/apis/<group>`; `undefined` when the group is not served. */
export function oneGroup(registry: Registry, group: string): JsonObject | undefined {
  const versions = registry.groups().get(group);
  if (versions === undefined || group === '') return undefined;
  return { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group, versions) };
}

const objectVerbs = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

/** Subresources that are objects of another kind. */
const foreignParts: ReadonlyMap<string, JsonObject> = new Map([
  [
    'token',
    {
      group: 'authentication.k8s.io',
      version: 'v1',
      kind: 'TokenRequest',
      verbs: ['create'],
    },
  ],
  ['proxy', { kind: 'PodProxyOptions', verbs: ['get'] }],
]);

function resourceEntries(kind: ResourceKind): readonly JsonObject[] {
  const isReview = kind.kind.endsWith('Review');
  const entry: JsonObject = {
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.isNamespaced,
    kind: kind.kind,
    verbs: isReview ? ['create'] : [...objectVerbs],
  };
  if (kind.shortNames.length > 0) entry.shortNames = [...kind.shortNames];
  if (kind.categories.length > 0) entry.categories = [...kind.categories];
  const parts = kind.subresources.map((name): JsonObject => ({
    name: `${kind.plural}/${name}`,
    singularName: '',
    namespaced: kind.isNamespaced,
    ...(foreignParts.get(name) ?? { kind: kind.kind, verbs: ['get', 'patch', 'update'] }),
  }));
  return [entry, ...parts];
}

/** `/api/v1` and `/apis/<group>/<version>`. */
export function resourceList(
  registry: Registry,
  group: string,
  version: string,
): JsonObject | undefined {
  const kinds = registry.ofGroupVersion(group, version);
  const first = kinds[0];
  if (first === undefined) return undefined;
  const resources: Json[] = kinds.flatMap(resourceEntries);
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf(first),
    resources,
  };
}
