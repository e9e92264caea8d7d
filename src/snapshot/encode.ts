// The canonical encoding of a section: JSON with all keys in alphabetical order, so that equal
// sections are equal bytes on every node, however their objects came to be (A3). Each type is
// copied key by key before it is written: what is not named here never leaves the process, which is
// also why nothing unforeseen can travel in a snapshot (A4). Copies plus the engine's plain
// `JSON.stringify` cost a quarter of what its key list (second argument) does. Endpoints and
// matches are most of a snapshot: they are written as lists of values, in half the bytes and time.
import { assert, assertNever } from '../lib/assert.ts';
import type {
  BackendSpec,
  EndpointsSection,
  ListenerSpec,
  MatchSpec,
  MeshPlace,
  MeshSection,
  NamespaceModes,
  NamespacesSection,
  PermissionSpec,
  PermissionsSection,
  PortSet,
  RouteSpec,
  Section,
  SectionId,
  ServicePortSpec,
  ServiceRules,
  ServiceSection,
  WeightedBackend,
} from './sections.ts';

/** The bytes that stand for `section`; absent (`undefined`) settings leave no trace. */
export function canonicalText(section: Section): string {
  return JSON.stringify(inOrder(section));
}

/**
 * The name that a section keeps as long as what it describes exists. A service section without
 * hostnames stands for a host alias, which is unique in the mesh (smi R-31).
 */
export function sectionId(section: Section): SectionId {
  return sectionName(section) as SectionId;
}

function sectionName(section: Section): string {
  switch (section.kind) {
    case 'mesh':
    case 'namespaces':
      return section.kind;
    case 'service': {
      if (section.hostnames.length > 0) return `service/${section.namespace}/${section.name}`;
      const alias = section.aliases[0];
      assert(alias !== undefined, 'a service section without any name');
      return `alias/${alias}`;
    }
    case 'endpoints':
      return `endpoints/${section.namespace}/${section.service}`;
    case 'permissions':
      return `permissions/${section.namespace}/${section.serviceAccount}`;
    default:
      return assertNever(section);
  }
}

function inOrder(section: Section): SectionText {
  switch (section.kind) {
    case 'mesh': {
      const { addresses, clusterDomain, kind, meshDomains } = section;
      const listeners = section.listeners.map(listenerInOrder);
      const places = section.places.map(placeInOrder);
      return { addresses, clusterDomain, kind, listeners, meshDomains, places };
    }
    case 'namespaces': {
      const { defaultMtls, defaultPolicy, kind } = section;
      const namespaces = section.namespaces.map(modesInOrder);
      return { defaultMtls, defaultPolicy, kind, namespaces };
    }
    case 'service': {
      const { aliases, hostnames, kind, name, namespace, place } = section;
      const ports = section.ports.map(portInOrder);
      const rules = rulesInOrder(section.rules);
      return { aliases, hostnames, kind, name, namespace, place, ports, rules };
    }
    case 'endpoints': {
      const { kind, namespace, service } = section;
      return { backends: section.backends.map(backendText), kind, namespace, service };
    }
    case 'permissions': {
      const { kind, namespace, serviceAccount } = section;
      const permissions = section.permissions.map(permissionInOrder);
      return { kind, namespace, permissions, serviceAccount };
    }
    default:
      return assertNever(section);
  }
}

function modesInOrder({ mtls, name, policy }: NamespaceModes): NamespaceModes {
  return { mtls, name, policy };
}

function listenerInOrder(listener: ListenerSpec): ListenerSpec {
  const { servicePort, targetPort } = listener;
  if (listener.protocol === 'http') return { protocol: 'http', servicePort, targetPort };
  const { namespace, protocol, service } = listener;
  return { namespace, protocol, service, servicePort, targetPort };
}

function placeInOrder({ addresses, name }: MeshPlace): MeshPlace {
  return { addresses, name };
}

function portInOrder({ port, protocol, routes }: ServicePortSpec): PortText {
  return { port, protocol, routes: routes.map(routeInOrder) };
}

function routeInOrder({ backends, matches, name }: RouteSpec): RouteText {
  return { backends: backends.map(weightInOrder), matches: matchesText(matches), name };
}

function weightInOrder({ backend, weight }: WeightedBackend): WeightedBackend {
  return { backend, weight };
}

function matchesText(matches: readonly MatchSpec[] | undefined): MatchesText | undefined {
  if (matches === undefined) return undefined;
  const values: MatchText[number][] = [];
  for (const { name, pathRegex, methods, headers } of matches) {
    const pairs: string[] = [];
    for (const header of headers) pairs.push(header.name, header.pattern);
    values.push(name, pathRegex ?? null, methods ?? null, pairs);
  }
  return values;
}

function rulesInOrder(rules: ServiceRules): ServiceRules {
  return {
    connectTimeoutMs: rules.connectTimeoutMs,
    idleTimeoutMs: rules.idleTimeoutMs,
    isStopped: rules.isStopped,
    maxRequestBodyBytes: rules.maxRequestBodyBytes,
    perTryTimeoutMs: rules.perTryTimeoutMs,
    retryAttempts: rules.retryAttempts,
    retryBudgetPercent: rules.retryBudgetPercent,
    retryOn: rules.retryOn,
    timeoutMs: rules.timeoutMs,
    upstreamHost: rules.upstreamHost,
  };
}

/** As the sections, but what stands for endpoints and matches is shorter. */
export type SectionText =
  MeshSection | NamespacesSection | ServiceText | EndpointsText | PermissionsText;

export type EndpointsText = Omit<EndpointsSection, 'backends'> & {
  readonly backends: readonly BackendText[];
};

/** The endpoints one after the other: address, port, node name, pod name of each. */
export type BackendText = Omit<BackendSpec, 'endpoints'> & {
  readonly endpoints: readonly (string | number)[];
};

/** How many values stand for one endpoint. */
export const endpointWidth = 4;

export type ServiceText = Omit<ServiceSection, 'ports'> & { readonly ports: readonly PortText[] };
export type PortText = Omit<ServicePortSpec, 'routes'> & { readonly routes: readonly RouteText[] };
export type RouteText = Omit<RouteSpec, 'matches'> & { readonly matches: MatchesText | undefined };

export type PermissionsText = Omit<PermissionsSection, 'permissions'> & {
  readonly permissions: readonly PermissionText[];
};

export type PermissionText = Omit<PermissionSpec, 'http'> & {
  readonly http: { readonly ports: PortSet; readonly matches: MatchesText | undefined } | undefined;
};

/** Name, pattern of the path, methods, and the headers' names and patterns in turn. */
export type MatchText = readonly [
  name: string,
  pathRegex: string | null,
  methods: readonly string[] | null,
  headers: readonly string[],
];

/** The values of the matches one after the other. */
export type MatchesText = readonly MatchText[number][];

/** How many values stand for one match. */
export const matchWidth = 4;

function backendText({ endpoints, port, scheme, transport }: BackendSpec): BackendText {
  const values: (string | number)[] = [];
  for (const endpoint of endpoints) {
    values.push(endpoint.address, endpoint.port, endpoint.nodeName, endpoint.podName);
  }
  return { endpoints: values, port, scheme, transport };
}

function permissionInOrder({ http, sources, target, tcp, udp }: PermissionSpec): PermissionText {
  return {
    http: http && { matches: matchesText(http.matches), ports: http.ports },
    sources,
    target,
    tcp: tcp && { ports: tcp.ports },
    udp: udp && { ports: udp.ports },
  };
}
