// The canonical encoding of a section: JSON with all keys in alphabetical order, so that equal
// sections are equal bytes on every node, however their objects came to be (A3). Each type is
// copied key by key before it is written: what is not named here never leaves the process, which is
// also why nothing unforeseen can travel in a snapshot (A4). Copies plus the engine's plain
// `JSON.stringify` cost a quarter of what its key list (second argument) does. Endpoints are most
// of a snapshot: they are written as one list of values, which halves their bytes and their cost.
import { assert, assertNever } from '../lib/assert.ts';
import type {
  BackendSpec,
  EndpointsSection,
  HeaderMatchSpec,
  ListenerSpec,
  MatchSpec,
  MeshPlace,
  NamespaceModes,
  PermissionSpec,
  RouteSpec,
  Section,
  SectionId,
  ServicePortSpec,
  ServiceRules,
  WeightedBackend,
} from './sections.ts';

/** The bytes that stand for `section`; absent (`undefined`) settings leave no trace. */
export function canonicalText(section: Section): string {
  return JSON.stringify(section.kind === 'endpoints' ? endpointsText(section) : inOrder(section));
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

function inOrder(section: Exclude<Section, EndpointsSection>): Section {
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

function listenerInOrder({ protocol, servicePort, targetPort }: ListenerSpec): ListenerSpec {
  return { protocol, servicePort, targetPort };
}

function placeInOrder({ addresses, name }: MeshPlace): MeshPlace {
  return { addresses, name };
}

function portInOrder({ port, protocol, routes }: ServicePortSpec): ServicePortSpec {
  return { port, protocol, routes: routes.map(routeInOrder) };
}

function routeInOrder({ backends, matches, name }: RouteSpec): RouteSpec {
  return { backends: backends.map(weightInOrder), matches: matches?.map(matchInOrder), name };
}

function weightInOrder({ backend, weight }: WeightedBackend): WeightedBackend {
  return { backend, weight };
}

function matchInOrder({ headers, methods, name, pathRegex }: MatchSpec): MatchSpec {
  return { headers: headers.map(headerInOrder), methods, name, pathRegex };
}

function headerInOrder({ name, pattern }: HeaderMatchSpec): HeaderMatchSpec {
  return { name, pattern };
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

/** As the section, but what stands for endpoints is shorter. */
export type EndpointsText = Omit<EndpointsSection, 'backends'> & {
  readonly backends: readonly BackendText[];
};

/** The endpoints one after the other: address, port, node name, pod name of each. */
export type BackendText = Omit<BackendSpec, 'endpoints'> & {
  readonly endpoints: readonly (string | number)[];
};

/** How many values stand for one endpoint. */
export const endpointWidth = 4;

function endpointsText({ backends, kind, namespace, service }: EndpointsSection): EndpointsText {
  return { backends: backends.map(backendText), kind, namespace, service };
}

function backendText({ endpoints, port, scheme }: BackendSpec): BackendText {
  const values: (string | number)[] = [];
  for (const endpoint of endpoints) {
    values.push(endpoint.address, endpoint.port, endpoint.nodeName, endpoint.podName);
  }
  return { endpoints: values, port, scheme };
}

function permissionInOrder({ http, sources, target, tcp, udp }: PermissionSpec): PermissionSpec {
  return {
    http: http && { matches: http.matches?.map(matchInOrder), ports: http.ports },
    sources,
    target,
    tcp: tcp && { ports: tcp.ports },
    udp: udp && { ports: udp.ports },
  };
}
