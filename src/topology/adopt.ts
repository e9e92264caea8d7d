// INTERIM until the api module exports these; same signatures.
import type {
  MeshSettings,
  Namespace,
  PolicyMode,
  Problem,
  Service,
  ServicePort,
  ServiceSettings,
  TrafficType,
} from '../api/index.ts';

type Resolved<T> = { readonly value: T; readonly problems: readonly Problem[] };

export function isWatchedNamespace(name: string, settings: MeshSettings): boolean {
  if (name === 'kube-system' || name === settings.meshNamespace) return false;
  if (settings.ignoreNamespaces.includes(name)) return false;
  return settings.watchNamespaces.length === 0 || settings.watchNamespaces.includes(name);
}

export function isMeshed(
  service: Service,
  namespace: Namespace | undefined,
  settings: MeshSettings,
): boolean {
  if (!isWatchedNamespace(service.meta.namespace, settings)) return false;
  if (service.type === 'ExternalName') return false;
  if (service.meta.namespace === 'default' && service.meta.name === 'kubernetes') return false;
  const own = service.meta.labels.get('weft.dev/mesh') ?? namespace?.meta.labels.get('weft.dev/mesh');
  if (own === 'disabled') return false;
  return settings.adopt === 'all' || own === 'enabled';
}

export function resolvePolicy(
  namespace: Namespace | undefined,
  settings: MeshSettings,
): Resolved<PolicyMode> {
  const said = namespace?.meta.annotations.get('weft.dev/policy');
  if (said === undefined) return { value: settings.policy, problems: [] };
  const value = said === 'off' || said === 'audit' ? said : 'enforce';
  return { value, problems: [] };
}

export function trafficTypeOf(
  service: Service,
  port: ServicePort,
  _namespace: Namespace | undefined,
): Resolved<TrafficType> {
  const said = service.meta.annotations.get('weft.dev/traffic-type');
  if (port.protocol === 'UDP') return { value: 'udp', problems: [] };
  return { value: said === 'tcp' || port.name.startsWith('tcp') ? 'tcp' : 'http', problems: [] };
}

export function resolveServiceSettings(
  _service: Service,
  _namespace: Namespace | undefined,
): Resolved<ServiceSettings> {
  return {
    value: {
      upstreamHost: 'preserve',
      scheme: 'http',
      tlsVerify: 'off',
      retryAttempts: undefined,
      retryOn: ['connect-failure', 'reset'],
      retryBudgetPercent: 20,
      timeoutMs: undefined,
      connectTimeoutMs: undefined,
      idleTimeoutMs: undefined,
      perTryTimeoutMs: undefined,
      circuitBreaker: undefined,
      outlierDetection: true,
      rateLimitAverage: undefined,
      rateLimitBurst: undefined,
      maxRequestBodyBytes: undefined,
      maxConnections: undefined,
      maxRequests: undefined,
      loadBalancer: { kind: 'ewma' },
      mirror: undefined,
      isStopped: false,
      healthCheck: undefined,
      hedgeAfter: undefined,
      fault: { abort: undefined, delay: undefined },
    },
    problems: [],
  };
}
