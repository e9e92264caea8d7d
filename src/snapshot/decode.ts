// Text → section, on the worker's side. The control thread is ours, and still nothing is believed
// before it has the right shape: a snapshot that does not decode leaves the last good one in force
// (A6). Never throws, whatever the bytes are.
import { Failure } from '../lib/failure.ts';
import { endpointWidth, sectionId, type BackendText, type EndpointsText } from './encode.ts';
import type {
  BackendId,
  BackendSpec,
  EndpointSpec,
  EndpointsSection,
  HeaderMatchSpec,
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

const isMesh = hasShape<MeshSection>({
  kind: isOneOf('mesh'),
  meshDomains: isListOf(isText),
  clusterDomain: isText,
  listeners: isListOf(
    hasShape<ListenerSpec>({ protocol: isOneOf('http'), servicePort: isPort, targetPort: isPort }),
  ),
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

const isMatches = isListOf(
  hasShape<MatchSpec>({
    name: isText,
    pathRegex: isAbsentOr(isText),
    methods: isAbsentOr(isListOf(isText)),
    headers: isListOf(hasShape<HeaderMatchSpec>({ name: isText, pattern: isText })),
  }),
);

const isRoute = hasShape<RouteSpec>({
  name: isText,
  matches: isAbsentOr(isMatches),
  backends: isListOf(hasShape<WeightedBackend>({ backend: isBackendId, weight: isCount })),
});

const isService = hasShape<ServiceSection>({
  kind: isOneOf('service'),
  namespace: isText,
  name: isText,
  hostnames: isListOf(isText),
  aliases: isListOf(isText),
  place: isAbsentOr(isText),
  ports: isListOf(
    hasShape<ServicePortSpec>({
      port: isPort,
      protocol: isOneOf('http', 'tcp', 'udp'),
      routes: isListOf(isRoute),
    }),
  ),
  rules: isRules,
});

const isEndpointsText = hasShape<EndpointsText>({
  kind: isOneOf('endpoints'),
  namespace: isText,
  service: isText,
  backends: isListOf(
    hasShape<BackendText>({
      port: isPort,
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

function backendOf({ port, scheme, endpoints: values }: BackendText): BackendSpec {
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
  return { port, scheme, endpoints };
}

const isPorts = isAbsentOr(isListOf(isPort));
const isPortGrant = hasShape<{ readonly ports: readonly number[] | undefined }>({ ports: isPorts });

const isPermissions = hasShape<PermissionsSection>({
  kind: isOneOf('permissions'),
  namespace: isText,
  serviceAccount: isText,
  permissions: isListOf(
    hasShape<PermissionSpec>({
      target: isText,
      sources: isListOf(isText),
      http: isAbsentOr(
        hasShape<NonNullable<PermissionSpec['http']>>({
          ports: isPorts,
          matches: isAbsentOr(isMatches),
        }),
      ),
      tcp: isAbsentOr(isPortGrant),
      udp: isAbsentOr(isPortGrant),
    }),
  ),
});

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
  if (isService(value)) return value;
  if (isEndpointsText(value)) return endpointsOf(value);
  if (isPermissions(value)) return value;
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
