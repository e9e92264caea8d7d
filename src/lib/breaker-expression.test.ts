// The expression language of Maesh's circuit breakers: what is read, and what is refused. Values
// of metrics are not looked at here.
import { describe, expect, test } from 'vitest';
import { parseBreakerExpression } from './breaker-expression.ts';

const errors = { kind: 'network-error-ratio' } as const;

test('&& binds tighter than ||, parentheses change that', () => {
  const one = { kind: 'compare', metric: errors, comparison: '>', limit: 0.5 } as const;
  const text = 'NetworkErrorRatio() > 0.5';
  expect(parseBreakerExpression(`${text}||${text}&&${text}`)).toEqual({
    kind: 'or',
    parts: [one, { kind: 'and', parts: [one, one] }],
  });
  expect(parseBreakerExpression(`(${text} || ${text}) && ${text}`)).toEqual({
    kind: 'and',
    parts: [{ kind: 'or', parts: [one, one] }, one],
  });
});

test('every metric', () => {
  expect(parseBreakerExpression(' LatencyAtQuantileMS(50.0) >= 100 ')).toEqual({
    kind: 'compare',
    metric: { kind: 'latency-at-quantile-ms', quantile: 50 },
    comparison: '>=',
    limit: 100,
  });
  expect(parseBreakerExpression('ResponseCodeRatio(500, 600, 0, 600) != 0')).toEqual({
    kind: 'compare',
    metric: {
      kind: 'response-code-ratio', from: 500, to: 600, dividedByFrom: 0, dividedByTo: 600,
    },
    comparison: '!=',
    limit: 0,
  });
});

test('at most 8 different ratios, each as often as it takes', () => {
  const ratio = (from: number) => `ResponseCodeRatio(${from}, 600, 0, 600) > 0.5`;
  const eight = [1, 2, 3, 4, 5, 6, 7, 8].map(ratio).join(' || ');
  expect(parseBreakerExpression(`${eight} || (${ratio(8)} && ${ratio(1)})`)).toBeDefined();
  expect(parseBreakerExpression(`${eight} || ${ratio(9)}`)).toBeUndefined();
});

describe('what is no expression', () => {
  const bad = [
    '', ' ', 'NetworkErrorRatio()', 'NetworkErrorRatio > 1', 'NetworkErrorRatio() > ',
    'NetworkErrorRatio(1) > 1', 'Unknown() > 1', 'LatencyAtQuantileMS() > 1',
    'LatencyAtQuantileMS(101) > 1', 'ResponseCodeRatio(1,2,3) > 1', '(NetworkErrorRatio() > 1',
    'NetworkErrorRatio() > 1)', 'NetworkErrorRatio() > 1 &&', '&& NetworkErrorRatio() > 1',
    'NetworkErrorRatio() > 1 | 2', 'NetworkErrorRatio() > 1 // x', 'NetworkErrorRatio() = 1',
    `${'('.repeat(9)}NetworkErrorRatio() > 1${')'.repeat(9)}`, 'x'.repeat(2000),
  ];
  test.each(bad)('%j', (text) => {
    expect(parseBreakerExpression(text)).toBeUndefined();
  });
});
