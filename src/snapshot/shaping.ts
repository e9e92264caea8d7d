// What a service's settings do to its traffic besides forwarding it: limits first. Nearly no
// service has any of this, so it is one optional part of the rules, and a data plane that finds it
// absent has one thing to look at per request. Type, canonical order and guard of the text stand
// side by side: whoever adds a rule adds it to all three.
import {
  hasShape,
  isAbsentOr,
  isAmount,
  isCount,
  isEither,
  isFlag,
  isListOf,
  isOneOf,
  isText,
  type Guard,
} from './shape.ts';

/** Requests a second and how many at once, for each source identity. */
export type RateLimitRule = { readonly average: number; readonly burst: number };

/** A circuit breaker; what its expression means, only the control thread knows. */
export type BreakerRule = {
  readonly expression: string;
  /** Of response codes: from, to (excluded), and the same of what they are a share of. */
  readonly ratios: readonly (readonly [number, number, number, number])[];
};

/** Faults to inject, each into a share of the requests. */
export type FaultRule = {
  readonly abort?: { readonly status: number; readonly percent: number } | undefined;
  readonly delay?: { readonly ms: number; readonly percent: number } | undefined;
};

/** An active check of each pod, by the proxy of its own node. */
export type HealthCheckRule = { readonly path: string; readonly everyMs: number };

/** How an endpoint is chosen, where not by latency and load. */
export type BalancerRule =
  | { readonly kind: 'least-request' | 'round-robin' }
  | {
      readonly kind: 'hash';
      readonly by: 'header' | 'cookie' | 'source';
      /** Of the field or cookie; empty for the source. */
      readonly name: string;
    };

/** Whereto copies of a share of the requests go: a Service of the same namespace. */
export type MirrorRule = {
  readonly service: string;
  /** Of that Service; absent: the one that was called. */
  readonly port?: number | undefined;
  readonly percent: number;
};

/** Absent: nobody has said it. */
export type ShapingRules = {
  readonly breaker?: BreakerRule | undefined;
  readonly fault?: FaultRule | undefined;
  readonly healthCheck?: HealthCheckRule | undefined;
  /** When a second attempt is made beside a slow one; `p95`: as the service is measured. */
  readonly hedgeAfterMs?: number | 'p95' | undefined;
  /** Open to each endpoint. */
  readonly maxConnections?: number | undefined;
  /** In flight at each endpoint. */
  readonly maxRequests?: number | undefined;
  readonly balancer?: BalancerRule | undefined;
  /** Endpoints that fail are not ejected. */
  readonly keepsOutliers?: boolean | undefined;
  readonly mirror?: MirrorRule | undefined;
  readonly rateLimit?: RateLimitRule | undefined;
};

/** Its keys in alphabetical order; undefined when there is none. */
export function shapingInOrder(rules: ShapingRules | undefined): ShapingRules | undefined {
  if (rules === undefined) return undefined;
  const { balancer, breaker, fault, hedgeAfterMs, keepsOutliers } = rules;
  const { maxRequests, mirror, rateLimit } = rules;
  return {
    balancer: balancer && balancerInOrder(balancer),
    breaker: breaker && { expression: breaker.expression, ratios: breaker.ratios },
    fault: fault && faultInOrder(fault),
    healthCheck: rules.healthCheck && {
      everyMs: rules.healthCheck.everyMs,
      path: rules.healthCheck.path,
    },
    hedgeAfterMs,
    keepsOutliers,
    maxConnections: rules.maxConnections,
    maxRequests,
    mirror: mirror && mirrorInOrder(mirror),
    rateLimit: rateLimit && { average: rateLimit.average, burst: rateLimit.burst },
  };
}

function faultInOrder({ abort, delay }: FaultRule): FaultRule {
  return {
    abort: abort && { percent: abort.percent, status: abort.status },
    delay: delay && { ms: delay.ms, percent: delay.percent },
  };
}

function mirrorInOrder({ percent, port, service }: MirrorRule): MirrorRule {
  return { percent, port, service };
}

function isRatio(value: unknown): value is BreakerRule['ratios'][number] {
  return isListOf(isAmount)(value) && value.length === 4;
}

const isBreaker = hasShape<BreakerRule>({ expression: isText, ratios: isListOf(isRatio) });

const isFault = hasShape<FaultRule>({
  abort: isAbsentOr(hasShape({ status: isCount, percent: isAmount })),
  delay: isAbsentOr(hasShape({ ms: isAmount, percent: isAmount })),
});

function balancerInOrder(rule: BalancerRule): BalancerRule {
  if (rule.kind !== 'hash') return { kind: rule.kind };
  return { by: rule.by, kind: rule.kind, name: rule.name };
}

const isBalancer = isEither(
  hasShape<Exclude<BalancerRule, { kind: 'hash' }>>({
    kind: isOneOf('least-request', 'round-robin'),
  }),
  hasShape<Extract<BalancerRule, { kind: 'hash' }>>({
    kind: isOneOf('hash'),
    by: isOneOf('header', 'cookie', 'source'),
    name: isText,
  }),
);

const isMirror = hasShape<MirrorRule>({
  service: isText,
  port: isAbsentOr(isCount),
  percent: isAmount,
});

export const isShaping: Guard<ShapingRules> = hasShape<ShapingRules>({
  breaker: isAbsentOr(isBreaker),
  fault: isAbsentOr(isFault),
  healthCheck: isAbsentOr(hasShape<HealthCheckRule>({ path: isText, everyMs: isAmount })),
  hedgeAfterMs: isAbsentOr(isEither(isAmount, isOneOf('p95'))),
  maxConnections: isAbsentOr(isCount),
  maxRequests: isAbsentOr(isCount),
  balancer: isAbsentOr(isBalancer),
  keepsOutliers: isAbsentOr(isFlag),
  mirror: isAbsentOr(isMirror),
  rateLimit: isAbsentOr(hasShape<RateLimitRule>({ average: isAmount, burst: isCount })),
});
