// The expression language of Maesh's circuit breakers: what is read, what is refused, and how that
// is told. Values of metrics are not looked at here.
import { describe, expect, test } from 'vitest';
import {
  breakerExpressionFault,
  breakerRatios,
  parseBreakerExpression,
} from './breaker-expression.ts';

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

describe('! binds to what follows it', () => {
  const one = { kind: 'compare', metric: errors, comparison: '>', limit: 1 } as const;
  const not = { kind: 'not', part: one } as const;
  test.each([
    ['!NetworkErrorRatio() > 1', not],
    ['! NetworkErrorRatio() > 1', not],
    ['!(NetworkErrorRatio() > 1)', not],
    ['!!NetworkErrorRatio() > 1', { kind: 'not', part: not }],
    [
      '!NetworkErrorRatio() > 1 && NetworkErrorRatio() > 1',
      { kind: 'and', parts: [not, one] },
    ],
    [
      '!(NetworkErrorRatio() > 1 || NetworkErrorRatio() > 1)',
      { kind: 'not', part: { kind: 'or', parts: [one, one] } },
    ],
    ['!NetworkErrorRatio() != 1', { kind: 'not', part: { ...one, comparison: '!=' } }],
  ])('%s', (text, expression) => {
    expect(parseBreakerExpression(text)).toEqual(expression);
    expect(breakerExpressionFault(text)).toBeUndefined();
  });

  test('its ratios are counted', () => {
    const text = '!(ResponseCodeRatio(1, 2, 3, 4) > 0.5)';
    const expression = parseBreakerExpression(text);
    expect(expression && breakerRatios(expression)).toEqual([[1, 2, 3, 4]]);
  });
});

describe('what is no expression is told by its column', () => {
  const ratio = (from: number): string => `ResponseCodeRatio(${from}, 600, 0, 600) > 0.5`;
  const nine = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(ratio).join(' || ');
  const metrics = "NetworkErrorRatio, LatencyAtQuantileMS, ResponseCodeRatio, '!' or '('";
  const comparison = 'one of > >= < <= == !=';
  const bad: readonly (readonly [text: string, column: number, message: string])[] = [
    ['', 1, `expected ${metrics}, found the end`],
    ['  ', 1, `expected ${metrics}, found the end`],
    ['on', 1, `expected ${metrics}, found 'on'`],
    ['Unknown() > 1', 1, `expected ${metrics}, found 'Unknown'`],
    ['NetworkErrorRatio()', 20, `expected ${comparison}, found the end`],
    ['NetworkErrorRatio > 1', 19, "expected '(', found '>'"],
    ['NetworkErrorRatio() > ', 22, 'expected a number, found the end'],
    ['NetworkErrorRatio() > )', 23, "expected a number, found ')'"],
    ['NetworkErrorRatio() > -1', 23, "expected a number, found '-'"],
    ['NetworkErrorRatio() > .5', 23, "expected a number, found '.'"],
    ['NetworkErrorRatio() = 1', 21, `expected ${comparison}, found '='`],
    ['NetworkErrorRatio() ! 1', 21, `expected ${comparison}, found '!'`],
    ['NetworkErrorRatio(1) > 1', 1, 'NetworkErrorRatio takes 0 numbers, found 1'],
    ['LatencyAtQuantileMS() > 1', 1, 'LatencyAtQuantileMS takes 1 number, found 0'],
    ['LatencyAtQuantileMS(101) > 1', 21, 'a quantile is at most 100, found 101'],
    ['ResponseCodeRatio(1,2,3) > 1', 1, 'ResponseCodeRatio takes 4 numbers, found 3'],
    ['ResponseCodeRatio(1;2) > 1', 20, "expected ',' or ')', found ';'"],
    ['ResponseCodeRatio(500,) > 1', 23, "expected a number, found ')'"],
    ['(NetworkErrorRatio() > 1', 25, "expected &&, || or ')', found the end"],
    ['NetworkErrorRatio() > 1)', 24, "expected && or ||, found ')'"],
    ['NetworkErrorRatio() > 1 &&', 27, `expected ${metrics}, found the end`],
    ['&& NetworkErrorRatio() > 1', 1, `expected ${metrics}, found '&&'`],
    ['NetworkErrorRatio() > 1 | 2', 25, "expected && or ||, found '|'"],
    ['NetworkErrorRatio() > 1 // x', 25, "expected && or ||, found '/'"],
    ['NetworkErrorRatio() > 1\n  NetworkErrorRatio() > 2', 27,
      "expected && or ||, found 'NetworkErrorRatio'"],
    ['NetworkErrorRatio() > 1 é', 25, "expected && or ||, found 'U+e9'"],
    ['!', 2, `expected ${metrics}, found the end`],
    ['!)', 2, `expected ${metrics}, found ')'`],
    [`${'('.repeat(9)}NetworkErrorRatio() > 1${')'.repeat(9)}`, 9,
      'more than 8 brackets and negations in each other'],
    [`${'!'.repeat(9)}NetworkErrorRatio() > 1`, 9,
      'more than 8 brackets and negations in each other'],
    [nine, nine.length - ratio(9).length + 1, 'more than 8 different ResponseCodeRatio'],
    ['y'.repeat(50), 1, `expected ${metrics}, found '${'y'.repeat(40)}…'`],
    ['x'.repeat(2000), 1025, 'more characters than that'],
  ];
  test.each(bad)('%j at column %d', (text, column, message) => {
    expect(parseBreakerExpression(text)).toBeUndefined();
    expect(breakerExpressionFault(text)).toBe(`column ${column}: ${message}`);
  });
});
