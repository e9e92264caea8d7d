// Whether a circuit breaker's expression holds for what was counted over ten seconds: pure. A ratio
// of nothing is 0, as Maesh had it, and below ten requests nothing is said at all (contract §3).
import type { BreakerExpression, BreakerMetric } from '../lib/breaker-expression.ts';
import type { BreakerWindow, CodeRatio } from '../telemetry/index.ts';

export const requestsMin = 10;

export type BreakerCase = {
  readonly expression: BreakerExpression;
  /** In the order in which the window counts them. */
  readonly ratios: readonly CodeRatio[];
  readonly window: BreakerWindow;
};

export function holds({ expression, ratios, window }: BreakerCase): boolean {
  if (window.total < requestsMin) return false;
  const isTrue = (part: BreakerExpression): boolean => {
    if (part.kind === 'compare') {
      return compare(valueOf(part.metric, ratios, window), part.comparison, part.limit);
    }
    if (part.kind === 'not') return !isTrue(part.part);
    return part.kind === 'and' ? part.parts.every(isTrue) : part.parts.some(isTrue);
  };
  return isTrue(expression);
}

function valueOf(
  metric: BreakerMetric,
  ratios: readonly CodeRatio[],
  window: BreakerWindow,
): number {
  switch (metric.kind) {
    case 'network-error-ratio':
      return window.networkErrors / window.total;
    case 'latency-at-quantile-ms':
      return window.latencyAt(metric.quantile / 100);
    case 'response-code-ratio': {
      const { from, to, dividedByFrom, dividedByTo } = metric;
      const wanted = [from, to, dividedByFrom, dividedByTo];
      const index = ratios.findIndex((one) => one.every((code, at) => code === wanted[at]));
      const { share, of } = window.ratios[index] ?? { share: 0, of: 0 };
      return of === 0 ? 0 : share / of;
    }
  }
}

function compare(
  value: number,
  comparison: Extract<BreakerExpression, { kind: 'compare' }>['comparison'],
  limit: number,
): boolean {
  switch (comparison) {
    case '>':
      return value > limit;
    case '>=':
      return value >= limit;
    case '<':
      return value < limit;
    case '<=':
      return value <= limit;
    case '==':
      return value === limit;
    case '!=':
      return value !== limit;
  }
}
