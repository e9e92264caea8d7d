// The canonical encoding of a section: JSON with all keys in alphabetical order, so that equal
// sections are equal bytes on every node, however their objects came to be (A3). Each type is
// copied key by key before it is written: what is not named here never leaves the process, which is
// also why nothing unforeseen can travel in a snapshot (A4). Copies plus the engine's plain
// `JSON.stringify` cost a quarter of what its key list (second argument) does. Endpoints,
// matches, permissions, routes and their backends are most of a snapshot: they are written as lists
// of values, in half the bytes and time; rules that nearly every service has leave no trace.
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
} from './sections.ts';
import { shapingInOrder } from './shaping.ts';

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
      const permissions = permissionsText(section.permissions);
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
  return { port, protocol, routes: routesText(routes) };
}

function routesText(routes: readonly RouteSpec[]): RoutesText {
  const values: RouteText[number][] = [];
  for (const { name, matches, backends } of routes) {
    const shares: (string | number)[] = [];
    for (const { backend, weight } of backends) shares.push(backend, weight);
    values.push(name, matchesText(matches) ?? null, shares);
  }
  return values;
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

function rulesInOrder(rules: ServiceRules): RulesText {
  const { isStopped, retryBudgetPercent, retryOn } = rules;
  return {
    connectTimeoutMs: rules.connectTimeoutMs,
    idleTimeoutMs: rules.idleTimeoutMs,
    isStopped: isStopped || undefined,
    maxRequestBodyBytes: rules.maxRequestBodyBytes,
    perTryTimeoutMs: rules.perTryTimeoutMs,
    retryAttempts: rules.retryAttempts,
    retryBudgetPercent:
      retryBudgetPercent === usualRules.retryBudgetPercent ? undefined : retryBudgetPercent,
    retryOn: isUsualRetryOn(retryOn) ? undefined : retryOn,
    shaping: shapingInOrder(rules.shaping),
    timeoutMs: rules.timeoutMs,
    upstreamHost: rules.upstreamHost,
  };
}

function isUsualRetryOn(retryOn: ServiceRules['retryOn']): boolean {
  const usual = usualRules.retryOn;
  if (retryOn === usual) return true;
  return retryOn.length === usual.length && retryOn.every((one, index) => one === usual[index]);
}

/** Rules of a service of which nobody has said anything; whoever reads a text puts them back. */
export const usualRules: Pick<ServiceRules, 'isStopped' | 'retryBudgetPercent' | 'retryOn'> = {
  isStopped: false,
  retryBudgetPercent: 20,
  retryOn: ['connect-failure', 'reset'],
};

/** As the sections, but what stands for most of their content is shorter. */
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

export type ServiceText = Omit<ServiceSection, 'ports' | 'rules'> & {
  readonly ports: readonly PortText[];
  readonly rules: RulesText;
};

/** Absent: as in `usualRules`. */
export type RulesText = Omit<ServiceRules, keyof typeof usualRules> & {
  readonly [K in keyof typeof usualRules]: ServiceRules[K] | undefined;
};

export type PortText = Omit<ServicePortSpec, 'routes'> & { readonly routes: RoutesText };

/** Name, matches, and the backends' ids and weights in turn. */
export type RouteText = readonly [
  name: string,
  matches: MatchesText | null,
  backends: readonly (string | number)[],
];

/** The values of the routes one after the other. */
export type RoutesText = readonly RouteText[number][];

/** How many values stand for one route. */
export const routeWidth = 3;

export type PermissionsText = Omit<PermissionsSection, 'permissions'> & {
  readonly permissions: readonly PermissionText[number][];
};

/** `null`: nothing is opened. `true`: every port. */
export type PortsText = readonly number[] | true | null;

export type PermissionText = readonly [
  target: string,
  sources: readonly string[],
  httpPorts: PortsText,
  httpMatches: MatchesText | null,
  tcpPorts: PortsText,
  udpPorts: PortsText,
];

/** How many values stand for one permission. */
export const permissionWidth = 6;

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

function backendText({ endpoints, port, scheme, tls, transport }: BackendSpec): BackendText {
  const values: (string | number)[] = [];
  for (const endpoint of endpoints) {
    values.push(endpoint.address, endpoint.port, endpoint.nodeName, endpoint.podName);
  }
  if (tls === undefined) return { endpoints: values, port, scheme, transport };
  const { serverName, trust } = tls;
  return { endpoints: values, port, scheme, tls: { serverName, trust }, transport };
}

function permissionsText(permissions: readonly PermissionSpec[]): PermissionText[number][] {
  const values: PermissionText[number][] = [];
  for (const { target, sources, http, tcp, udp } of permissions) {
    const matches = matchesText(http?.matches) ?? null;
    values.push(target, sources, portsText(http), matches, portsText(tcp), portsText(udp));
  }
  return values;
}

function portsText(grant: { readonly ports: PortSet } | undefined): PortsText {
  return grant === undefined ? null : (grant.ports ?? true);
}
