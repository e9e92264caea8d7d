// Builders of snapshot sections for tests of what reads snapshots: only the fields that a test is
// about are said, the rest is what an untouched cluster has.
import {
  backendId,
  type EndpointSpec,
  type EndpointsSection,
  type MatchSpec,
  type MeshSection,
  type NamespacesSection,
  type NodePart,
  type PermissionSpec,
  type PermissionsSection,
  type RouteSpec,
  type Section,
  type SectionId,
  type SectionRecord,
  type ServiceRules,
  type ServiceSection,
  type Workload,
} from '../../src/snapshot/index.ts';

export const plainRules: ServiceRules = {
  upstreamHost: undefined,
  retryAttempts: undefined,
  retryOn: [],
  retryBudgetPercent: 20,
  timeoutMs: undefined,
  connectTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  perTryTimeoutMs: undefined,
  maxRequestBodyBytes: undefined,
  isStopped: false,
};

/** Records by id, as a snapshot holds them. */
export function recordsOf(
  ...sections: readonly Section[]
): ReadonlyMap<SectionId, SectionRecord> {
  const records = sections.map((section): SectionRecord => {
    const text = JSON.stringify(section);
    return { id: idOf(section), text, section };
  });
  records.sort((a, b) => (a.id < b.id ? -1 : 1));
  return new Map(records.map((record) => [record.id, record]));
}

function idOf(section: Section): SectionId {
  switch (section.kind) {
    case 'mesh':
    case 'namespaces':
      return section.kind as SectionId;
    case 'service':
      return `service/${section.namespace}/${section.name}` as SectionId;
    case 'endpoints':
      return `endpoints/${section.namespace}/${section.service}` as SectionId;
    case 'permissions':
      return `permissions/${section.namespace}/${section.serviceAccount}` as SectionId;
  }
}

export function meshSection(said: Partial<MeshSection> = {}): MeshSection {
  return {
    kind: 'mesh',
    meshDomains: ['mesh'],
    clusterDomain: 'cluster.local',
    listeners: [{ protocol: 'http', servicePort: 80, targetPort: 15100 }],
    addresses: ['10.96.0.50'],
    places: [],
    ...said,
  };
}

export function namespacesSection(
  defaultPolicy: NamespacesSection['defaultPolicy'],
  policies: Readonly<Record<string, NamespacesSection['defaultPolicy']>> = {},
): NamespacesSection {
  const mtls = 'off' as const;
  const namespaces = Object.entries(policies).map(([name, policy]) => ({ name, policy, mtls }));
  return { kind: 'namespaces', defaultPolicy, defaultMtls: mtls, namespaces };
}

/** `serviceSection('shop/web')`: one HTTP port 80, routed to itself. */
export function serviceSection(
  name: string,
  said: Partial<ServiceSection> & { readonly routes?: readonly RouteSpec[] } = {},
): ServiceSection {
  const [namespace, service] = halves(name);
  const { routes = [routeTo(name)], ...rest } = said;
  return {
    kind: 'service',
    namespace,
    name: service,
    hostnames: [`${service}.${namespace}.mesh`],
    aliases: [],
    place: undefined,
    ports: [{ port: 80, protocol: 'http', routes }],
    rules: plainRules,
    ...rest,
  };
}

/** The route of a service that has no split. */
export function routeTo(name: string, port = 80): RouteSpec {
  return splitTo(`service ${name}`, { [name]: 1 }, { port });
}

/** Weights by `namespace/service`. */
export function splitTo(
  name: string,
  weights: Readonly<Record<string, number>>,
  said: { readonly port?: number; readonly matches?: readonly MatchSpec[] } = {},
): RouteSpec {
  const backends = Object.entries(weights).map(([key, weight]) => {
    const [namespace, service] = halves(key);
    return { backend: backendId(namespace, service, said.port ?? 80), weight };
  });
  return { name, matches: said.matches, backends };
}

export function matchSpec(said: Partial<MatchSpec> = {}): MatchSpec {
  return { name: 'group/match', pathRegex: undefined, methods: undefined, headers: [], ...said };
}

/** `endpointsSection('shop/web', ['10.1.0.1:8080'])` for Service port 80. */
export function endpointsSection(
  name: string,
  addresses: readonly (string | EndpointSpec)[],
  port = 80,
): EndpointsSection {
  const [namespace, service] = halves(name);
  const endpoints = addresses.map(endpointSpec);
  return { kind: 'endpoints', namespace, service, backends: [{ port, scheme: 'http', endpoints }] };
}

function endpointSpec(text: string | EndpointSpec): EndpointSpec {
  if (typeof text !== 'string') return text;
  const colon = text.lastIndexOf(':');
  const address = text.slice(0, colon).replace(/^\[|\]$/g, '');
  return { address, port: Number(text.slice(colon + 1)), nodeName: 'node-a', podName: '' };
}

/** `permissionsSection('shop/web', [...])`: destination service account and what it opens. */
export function permissionsSection(
  principal: string,
  permissions: readonly PermissionSpec[],
): PermissionsSection {
  const [namespace, serviceAccount] = halves(principal);
  return { kind: 'permissions', namespace, serviceAccount, permissions };
}

/** Opens nothing until it is said what. */
export function permissionSpec(said: Partial<PermissionSpec> = {}): PermissionSpec {
  const nothing = { http: undefined, tcp: undefined, udp: undefined };
  return { target: 'target', sources: [], ...nothing, ...said };
}

export function workload(name: string, said: Partial<Workload> = {}): Workload {
  const [namespace, serviceAccount] = halves(name);
  return {
    namespace,
    serviceAccount,
    workload: `Deployment/${serviceAccount}`,
    podName: `${serviceAccount}-1`,
    podUid: `uid-${serviceAccount}`,
    ...said,
  };
}

export function nodePart(bindings: NodePart['bindings'] = new Map()): NodePart {
  return { nodeName: 'node-a', bindings };
}

function halves(name: string): readonly [string, string] {
  const slash = name.indexOf('/');
  return [name.slice(0, slash), name.slice(slash + 1)];
}
