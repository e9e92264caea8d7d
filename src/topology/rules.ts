// Settings of a service → the rules that a worker forwards by: resolved, so that a worker knows no
// default and no domain.
import type { MeshSettings, Service, ServiceSettings } from '../api/index.ts';
import { breakerRatios, parseBreakerExpression } from '../lib/breaker-expression.ts';
import type {
  BalancerRule,
  BreakerRule,
  MirrorRule,
  PodTlsSpec,
  ServiceRules,
  ShapingRules,
} from '../snapshot/index.ts';

/** What the proxies have to know of `said`. */
export function rulesOf(
  service: Service,
  said: ServiceSettings,
  settings: MeshSettings,
): ServiceRules {
  return {
    upstreamHost: upstreamHostOf(service, said, settings),
    retryAttempts: said.retryAttempts,
    retryOn: said.retryOn,
    retryBudgetPercent: said.retryBudgetPercent,
    timeoutMs: said.timeoutMs,
    connectTimeoutMs: said.connectTimeoutMs,
    idleTimeoutMs: said.idleTimeoutMs,
    perTryTimeoutMs: said.perTryTimeoutMs,
    maxRequestBodyBytes: said.maxRequestBodyBytes,
    isStopped: said.isStopped,
    shaping: shapingOf(service, said),
  };
}

/** Undefined unless some annotation asks for it: what is not there costs no request anything. */
function shapingOf(service: Service, said: ServiceSettings): ShapingRules | undefined {
  const { rateLimitAverage: average, rateLimitBurst: burst, loadBalancer } = said;
  const shaping: ShapingRules = {
    balancer: balancerOf(loadBalancer),
    breaker: breakerOf(said.circuitBreaker),
    fault: hasFault(said) ? said.fault : undefined,
    healthCheck: said.healthCheck,
    hedgeAfterMs: said.hedgeAfter === 'p95' ? 'p95' : said.hedgeAfter?.ms,
    maxConnections: said.maxConnections,
    maxRequests: said.maxRequests,
    mirror: mirrorOf(service, said),
    keepsOutliers: said.outlierDetection ? undefined : true,
    rateLimit: average === undefined || burst === undefined ? undefined : { average, burst },
  };
  return Object.values(shaping).every((rule) => rule === undefined) ? undefined : shaping;
}

function breakerOf(text: string | undefined): BreakerRule | undefined {
  const expression = text === undefined ? undefined : parseBreakerExpression(text);
  if (text === undefined || expression === undefined) return undefined;
  return { expression: text, ratios: breakerRatios(expression) };
}

/** A Service is no mirror of itself, whatever its Namespace says of all its Services. */
function mirrorOf({ meta }: Service, { mirror }: ServiceSettings): MirrorRule | undefined {
  return mirror?.service === meta.name ? undefined : mirror;
}

function hasFault({ fault }: ServiceSettings): boolean {
  return fault.abort !== undefined || fault.delay !== undefined;
}

function balancerOf(said: ServiceSettings['loadBalancer']): BalancerRule | undefined {
  if (said.kind === 'hash') return said;
  return said.kind === 'ewma' ? undefined : { kind: said.kind };
}

/** the Host stays what the client sent unless the owner of the service wants another. */
function upstreamHostOf(
  { meta }: Service,
  { upstreamHost }: ServiceSettings,
  { clusterDomain }: MeshSettings,
): string | undefined {
  if (upstreamHost === 'preserve') return undefined;
  if (upstreamHost !== 'service') return upstreamHost.literal;
  return serviceHost(meta, clusterDomain);
}

/** What clients outside of the mesh call a service by. */
function serviceHost({ name, namespace }: Service['meta'], clusterDomain: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}

/** Undefined: its pods serve no HTTPS. Their certificates are for the Service, for no mesh name. */
export function podTlsOf(
  { meta }: Service,
  { scheme, tlsVerify }: ServiceSettings,
  { clusterDomain }: MeshSettings,
): PodTlsSpec | undefined {
  if (scheme !== 'https') return undefined;
  return { serverName: serviceHost(meta, clusterDomain), trust: trustOf(tlsVerify) };
}

function trustOf(verify: ServiceSettings['tlsVerify']): PodTlsSpec['trust'] {
  if (verify === 'off') return 'anyone';
  return verify === 'system' ? 'system' : 'nobody';
}
