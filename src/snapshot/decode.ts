// Text → section, on the worker's side. The control thread is ours, and still nothing is believed
// before it has the right shape: a snapshot that does not decode leaves the last good one in force
// (A6). Never throws, whatever the bytes are.
import { Failure } from '../lib/failure.ts';
import {
  endpointWidth,
  matchWidth,
  permissionWidth,
  routeWidth,
  sectionId,
  usualRules,
  type BackendText,
  type EndpointsText,
  type MatchesText,
  type MatchText,
  type PermissionText,
  type PermissionsText,
  type PortsText,
  type PortText,
  type RoutesText,
  type RouteText,
  type RulesText,
  type ServiceText,
} from './encode.ts';
import type {
  BackendId,
  BackendSpec,
  EndpointSpec,
  EndpointsSection,
  FlowListenerSpec,
  HeaderMatchSpec,
  HttpListenerSpec,
  ListenerSpec,
  MatchSpec,
  MeshPlace,
  MeshSection,
  NamespaceModes,
  NamespacesSection,
  PermissionSpec,
  PermissionsSection,
  PodTlsSpec,
  PortSet,
  RetryCondition,
  RouteSpec,
  Section,
  SectionId,
  ServicePortSpec,
  ServiceRules,
  ServiceSection,
  WeightedBackend,
} from './sections.ts';
import { isShaping } from './shaping.ts';
import {
  hasShape,
  isAbsentOr,
  isAmount,
  isCount,
  isEither,
  isFlag,
  isListOf,
  isOneOf,
  isPort,
  isText,
  type Guard,
} from './shape.ts';

/** Why a snapshot or a part of it could not be taken over. */
export type SnapshotFailure = Failure<'BadSection' | 'BaseMismatch' | 'VersionMismatch'>;

export type DecodedSection =
  | { readonly kind: 'section'; readonly section: Section }
  | { readonly kind: 'failure'; readonly failure: SnapshotFailure };

const isPolicyMode = isOneOf('off', 'audit', 'enforce');
const isMtlsMode = isOneOf('off', 'permissive', 'strict');

function isBackendId(value: unknown): value is BackendId {
  return isText(value) && value.includes('/') && value.includes(':');
}

const isHttpListener = hasShape<HttpListenerSpec>({
  protocol: isOneOf('http'),
  servicePort: isPort,
  targetPort: isPort,
});

const isFlowListener = hasShape<FlowListenerSpec>({
  protocol: isOneOf('tcp', 'udp'),
  namespace: isText,
  service: isText,
  servicePort: isPort,
  targetPort: isPort,
});

const isMesh = hasShape<MeshSection>({
  kind: isOneOf('mesh'),
  meshDomains: isListOf(isText),
  clusterDomain: isText,
  listeners: isListOf<ListenerSpec>(isEither(isHttpListener, isFlowListener)),
  addresses: isListOf(isText),
  places: isListOf(hasShape<MeshPlace>({ name: isText, addresses: isListOf(isText) })),
});

const isNamespaces = hasShape<NamespacesSection>({
  kind: isOneOf('namespaces'),
  defaultPolicy: isPolicyMode,
  defaultMtls: isMtlsMode,
  namespaces: isListOf(
    hasShape<NamespaceModes>({ name: isText, policy: isPolicyMode, mtls: isMtlsMode }),
  ),
});

const isRetryCondition: Guard<RetryCondition> = isEither(
  isCount,
  isOneOf(
    'connect-failure',
    'reset',
    'refused-stream',
    '5xx',
    'gateway-error',
    'retriable-4xx',
    'unavailable',
  ),
);

const isRules = hasShape<RulesText>({
  upstreamHost: isAbsentOr(isText),
  retryAttempts: isAbsentOr(isCount),
  retryOn: isAbsentOr(isListOf(isRetryCondition)),
  retryBudgetPercent: isAbsentOr(isAmount),
  timeoutMs: isAbsentOr(isAmount),
  connectTimeoutMs: isAbsentOr(isAmount),
  idleTimeoutMs: isAbsentOr(isAmount),
  perTryTimeoutMs: isAbsentOr(isAmount),
  maxRequestBodyBytes: isAbsentOr(isCount),
  isStopped: isAbsentOr(isFlag),
  shaping: isAbsentOr(isShaping),
});

const isTexts = isListOf(isText);

type Test = (value: unknown) => boolean;

/** A list of things, each of which is so many values one after the other. */
function isRepeated(value: unknown, tests: readonly Test[]): boolean {
  if (!Array.isArray(value) || value.length % tests.length !== 0) return false;
  return value.every((one, index) => tests[index % tests.length]?.(one));
}

/** Name, pattern, methods, headers; and again. */
const isMatchValues: readonly Test[] = [
  isText,
  (value) => value === null || isText(value),
  (value) => value === null || isTexts(value),
  (value) => isTexts(value) && value.length % 2 === 0,
];

function isMatches(value: unknown): value is MatchesText {
  return isRepeated(value, isMatchValues);
}

function matchesOf(values: MatchesText | null): readonly MatchSpec[] | undefined {
  if (values === null) return undefined;
  const matches: MatchSpec[] = [];
  for (let at = 0; at < values.length; at += matchWidth) {
    // `isMatches` has seen what stands at which place.
    const [name, pathRegex, methods, pairs] = values.slice(at, at + matchWidth) as [...MatchText];
    const headers = headersOf(pairs);
    matches.push({
      name,
      pathRegex: pathRegex ?? undefined,
      methods: methods ?? undefined,
      headers,
    });
  }
  return matches;
}

function headersOf(pairs: readonly string[]): readonly HeaderMatchSpec[] {
  const headers: HeaderMatchSpec[] = [];
  for (let at = 0; at < pairs.length; at += 2) {
    headers.push({ name: pairs[at] ?? '', pattern: pairs[at + 1] ?? '' });
  }
  return headers;
}

/** Name, matches, backends; and again. */
const isRouteValues: readonly Test[] = [
  isText,
  (value) => value === null || isMatches(value),
  (value) => isRepeated(value, [isBackendId, isCount]),
];

function isRoutes(value: unknown): value is RoutesText {
  return isRepeated(value, isRouteValues);
}

const isServiceText = hasShape<ServiceText>({
  kind: isOneOf('service'),
  namespace: isText,
  name: isText,
  hostnames: isListOf(isText),
  aliases: isListOf(isText),
  place: isAbsentOr(isText),
  ports: isListOf(
    hasShape<PortText>({
      port: isPort,
      protocol: isOneOf('http', 'tcp', 'udp'),
      routes: isRoutes,
    }),
  ),
  rules: isRules,
});

function serviceOf(text: ServiceText): ServiceSection {
  return { ...text, ports: text.ports.map(portOf), rules: rulesOf(text.rules) };
}

function rulesOf(text: RulesText): ServiceRules {
  const { isStopped, retryBudgetPercent, retryOn } = text;
  return {
    ...text,
    isStopped: isStopped ?? usualRules.isStopped,
    retryBudgetPercent: retryBudgetPercent ?? usualRules.retryBudgetPercent,
    retryOn: retryOn ?? usualRules.retryOn,
  };
}

function portOf({ port, protocol, routes: values }: PortText): ServicePortSpec {
  const routes: RouteSpec[] = [];
  for (let at = 0; at < values.length; at += routeWidth) {
    // `isRoutes` has seen what stands at which place.
    const [name, matches, shares] = values.slice(at, at + routeWidth) as [...RouteText];
    routes.push({ name, matches: matchesOf(matches), backends: backendsOf(shares) });
  }
  return { port, protocol, routes };
}

function backendsOf(shares: RouteText[2]): readonly WeightedBackend[] {
  const backends: WeightedBackend[] = [];
  for (let at = 0; at < shares.length; at += 2) {
    // `isRoutes` has seen that an id and a weight take turns.
    const [backend, weight] = shares.slice(at, at + 2) as [BackendId, number];
    backends.push({ backend, weight });
  }
  return backends;
}

const isRoots = hasShape<{ readonly pem: string }>({ pem: isText });

function isTrust(value: unknown): value is PodTlsSpec['trust'] {
  return isOneOf('anyone', 'nobody', 'system')(value) || isRoots(value);
}

const isEndpointsText = hasShape<EndpointsText>({
  kind: isOneOf('endpoints'),
  namespace: isText,
  service: isText,
  backends: isListOf(
    hasShape<BackendText>({
      port: isPort,
      transport: isAbsentOr(isOneOf('udp')),
      scheme: isOneOf('http', 'h2c', 'https'),
      tls: isAbsentOr(hasShape<PodTlsSpec>({ serverName: isText, trust: isTrust })),
      endpoints: isEndpointValues,
    }),
  ),
});

/** Address, port, node name, pod name; and again. */
function isEndpointValues(value: unknown): value is BackendText['endpoints'] {
  if (!Array.isArray(value) || value.length % endpointWidth !== 0) return false;
  return value.every((one, index) => (index % endpointWidth === 1 ? isPort(one) : isText(one)));
}

function endpointsOf({ kind, namespace, service, backends }: EndpointsText): EndpointsSection {
  return { kind, namespace, service, backends: backends.map(backendOf) };
}

function backendOf(text: BackendText): BackendSpec {
  const { port, scheme, tls, endpoints: values } = text;
  const endpoints: EndpointSpec[] = [];
  for (let at = 0; at < values.length; at += endpointWidth) {
    const [address, number, nodeName, podName] = values.slice(at, at + endpointWidth);
    endpoints.push({
      address: String(address),
      port: Number(number),
      nodeName: String(nodeName),
      podName: String(podName),
    });
  }
  if (text.transport !== undefined) return { port, transport: text.transport, scheme, endpoints };
  return tls === undefined ? { port, scheme, endpoints } : { port, scheme, tls, endpoints };
}

function isPorts(value: unknown): boolean {
  return value === null || value === true || (Array.isArray(value) && value.every(isPort));
}

/** Target, sources, HTTP's ports and matches, ports of TCP and UDP; and again. */
const isPermissionValues: readonly Test[] = [
  isText,
  isTexts,
  isPorts,
  (value) => value === null || isMatches(value),
  isPorts,
  isPorts,
];

function arePermissions(value: unknown): value is PermissionsText['permissions'] {
  return isRepeated(value, isPermissionValues);
}

const isPermissionsText = hasShape<PermissionsText>({
  kind: isOneOf('permissions'),
  namespace: isText,
  serviceAccount: isText,
  permissions: arePermissions,
});

function permissionsOf({ permissions: values, ...text }: PermissionsText): PermissionsSection {
  const permissions: PermissionSpec[] = [];
  for (let at = 0; at < values.length; at += permissionWidth) {
    // `arePermissions` has seen what stands at which place.
    permissions.push(permissionOf(values.slice(at, at + permissionWidth) as [...PermissionText]));
  }
  return { ...text, permissions };
}

function permissionOf(values: PermissionText): PermissionSpec {
  const [target, sources, httpPorts, httpMatches, tcpPorts, udpPorts] = values;
  const http = grantOf(httpPorts);
  return {
    target,
    sources,
    http: http && { ...http, matches: matchesOf(httpMatches) },
    tcp: grantOf(tcpPorts),
    udp: grantOf(udpPorts),
  };
}

function grantOf(ports: PortsText): { readonly ports: PortSet } | undefined {
  if (ports === null) return undefined;
  return { ports: ports === true ? undefined : ports };
}

/** The section that `text` says, if it is one and the one that `id` names. */
export function decodeSection(id: string, text: string): DecodedSection {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return refused(id, 'is no JSON', cause);
  }
  const section = asSection(value);
  if (section === undefined) return refused(id, 'does not have the shape of a section');
  if (!hasName(section)) return refused(id, 'has no name');
  if (sectionId(section) !== (id as SectionId)) return refused(id, 'is a section of another name');
  return { kind: 'section', section };
}

function asSection(value: unknown): Section | undefined {
  if (isServiceText(value)) return serviceOf(value);
  if (isEndpointsText(value)) return endpointsOf(value);
  if (isPermissionsText(value)) return permissionsOf(value);
  if (isMesh(value)) return value;
  if (isNamespaces(value)) return value;
  return undefined;
}

function hasName(section: Section): boolean {
  return section.kind !== 'service' || section.hostnames.length > 0 || section.aliases.length > 0;
}

function refused(id: string, why: string, cause?: unknown): DecodedSection {
  const failure = new Failure(`section ${JSON.stringify(id.slice(0, 200))} ${why}`, {
    reason: 'BadSection' as const,
    origin: 'internal',
    retry: 'never',
    cause,
  });
  return { kind: 'failure', failure };
}
