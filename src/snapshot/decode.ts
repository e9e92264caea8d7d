// Text → section, on the worker's side. The control thread is ours, and still nothing is believed
// before it has the right shape: a snapshot that does not decode leaves the last good one in force
// (A6). Never throws, whatever the bytes are.
import { Failure } from '../lib/failure.ts';
import {
  endpointWidth,
  matchWidth,
  sectionId,
  type BackendText,
  type EndpointsText,
  type MatchesText,
  type MatchText,
  type PermissionText,
  type PermissionsText,
  type PortText,
  type RouteText,
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
  RetryCondition,
  RouteSpec,
  Section,
  SectionId,
  ServicePortSpec,
  ServiceRules,
  ServiceSection,
  WeightedBackend,
} from './sections.ts';
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

const isRules = hasShape<ServiceRules>({
  upstreamHost: isAbsentOr(isText),
  retryAttempts: isAbsentOr(isCount),
  retryOn: isListOf(isRetryCondition),
  retryBudgetPercent: isAmount,
  timeoutMs: isAbsentOr(isAmount),
  connectTimeoutMs: isAbsentOr(isAmount),
  idleTimeoutMs: isAbsentOr(isAmount),
  perTryTimeoutMs: isAbsentOr(isAmount),
  maxRequestBodyBytes: isAbsentOr(isCount),
  isStopped: isFlag,
});

const isTexts = isListOf(isText);

/** Name, pattern, methods, headers; and again. */
const isMatchValues: readonly ((value: unknown) => boolean)[] = [
  isText,
  (value) => value === null || isText(value),
  (value) => value === null || isTexts(value),
  (value) => isTexts(value) && value.length % 2 === 0,
];

function isMatches(value: unknown): value is MatchesText {
  if (!Array.isArray(value) || value.length % matchWidth !== 0) return false;
  return value.every((one, index) => isMatchValues[index % matchWidth]?.(one));
}

function matchesOf(values: MatchesText | undefined): readonly MatchSpec[] | undefined {
  if (values === undefined) return undefined;
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

const isRoute = hasShape<RouteText>({
  name: isText,
  matches: isAbsentOr(isMatches),
  backends: isListOf(hasShape<WeightedBackend>({ backend: isBackendId, weight: isCount })),
});

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
      routes: isListOf(isRoute),
    }),
  ),
  rules: isRules,
});

function serviceOf(text: ServiceText): ServiceSection {
  return { ...text, ports: text.ports.map(portOf) };
}

function portOf({ port, protocol, routes }: PortText): ServicePortSpec {
  return { port, protocol, routes: routes.map(routeOf) };
}

function routeOf({ name, matches, backends }: RouteText): RouteSpec {
  return { name, matches: matchesOf(matches), backends };
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
  const { port, scheme, endpoints: values } = text;
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
  return text.transport === undefined
    ? { port, scheme, endpoints }
    : { port, transport: text.transport, scheme, endpoints };
}

const isPorts = isAbsentOr(isListOf(isPort));
const isPortGrant = hasShape<{ readonly ports: readonly number[] | undefined }>({ ports: isPorts });

const isPermissionsText = hasShape<PermissionsText>({
  kind: isOneOf('permissions'),
  namespace: isText,
  serviceAccount: isText,
  permissions: isListOf(
    hasShape<PermissionText>({
      target: isText,
      sources: isListOf(isText),
      http: isAbsentOr(
        hasShape<NonNullable<PermissionText['http']>>({
          ports: isPorts,
          matches: isAbsentOr(isMatches),
        }),
      ),
      tcp: isAbsentOr(isPortGrant),
      udp: isAbsentOr(isPortGrant),
    }),
  ),
});

function permissionsOf(text: PermissionsText): PermissionsSection {
  return { ...text, permissions: text.permissions.map(permissionOf) };
}

function permissionOf({ target, sources, http, tcp, udp }: PermissionText): PermissionSpec {
  const grant = http && { ports: http.ports, matches: matchesOf(http.matches) };
  return { target, sources, http: grant, tcp, udp };
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
