// Circuit breaker expressions in the language that Maesh users know (Traefik's, from oxy):
// `NetworkErrorRatio() > 0.3 && ResponseCodeRatio(500, 600, 0, 600) > 0.25`. Only reading is here;
// what a metric's value is now is the concern of whoever drives the breaker.

export type BreakerMetric =
  | { readonly kind: 'network-error-ratio' }
  | { readonly kind: 'latency-at-quantile-ms'; readonly quantile: number }
  | {
      readonly kind: 'response-code-ratio';
      /** Codes from (included) to (excluded), divided by the count of codes in the second range. */
      readonly from: number;
      readonly to: number;
      readonly dividedByFrom: number;
      readonly dividedByTo: number;
    };

export type BreakerComparison = '>' | '>=' | '<' | '<=' | '==' | '!=';

export type BreakerExpression =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly BreakerExpression[] }
  | {
      readonly kind: 'compare';
      readonly metric: BreakerMetric;
      readonly comparison: BreakerComparison;
      readonly limit: number;
    };

/** Different response-code ratios that one expression may ask for: each is counted on its own. */
export const breakerRatiosMax = 8;

const textMax = 1024;
const depthMax = 8;
const comparisons: readonly BreakerComparison[] = ['>=', '<=', '==', '!=', '>', '<'];

/** The tokens that are left; each function takes its own from the front. */
type Tokens = { readonly list: readonly string[]; next: number };

/** The expression, or `undefined` when the text is none. */
export function parseBreakerExpression(text: string): BreakerExpression | undefined {
  if (text.length > textMax) return undefined;
  const token = /\s*(\|\||&&|[<>=!]=|[<>(),]|[0-9]+(?:\.[0-9]+)?|[A-Za-z]+)/g;
  const found = [...text.matchAll(token)];
  const covered = found.reduce((length, match) => length + match[0].length, 0);
  if (covered !== text.trimEnd().length) return undefined;
  const tokens: Tokens = { list: found.map((match) => match[1] ?? ''), next: 0 };
  const expression = readJoined(tokens, 'or', 0);
  if (expression === undefined || tokens.next < tokens.list.length) return undefined;
  return breakerRatios(expression).length <= breakerRatiosMax ? expression : undefined;
}

function take(tokens: Tokens, wanted: string): boolean {
  if (tokens.list[tokens.next] !== wanted) return false;
  tokens.next += 1;
  return true;
}

/** `||` binds weaker than `&&`. */
function readJoined(
  tokens: Tokens,
  kind: 'and' | 'or',
  depth: number,
): BreakerExpression | undefined {
  const parts: BreakerExpression[] = [];
  do {
    const part = kind === 'or' ? readJoined(tokens, 'and', depth) : readTerm(tokens, depth);
    if (part === undefined) return undefined;
    parts.push(part);
  } while (take(tokens, kind === 'or' ? '||' : '&&'));
  return parts.length === 1 ? parts[0] : { kind, parts };
}

function readTerm(tokens: Tokens, depth: number): BreakerExpression | undefined {
  if (take(tokens, '(')) {
    const inner = depth < depthMax ? readJoined(tokens, 'or', depth + 1) : undefined;
    return take(tokens, ')') ? inner : undefined;
  }
  const metric = readMetric(tokens);
  const comparison = comparisons.find((candidate) => take(tokens, candidate));
  const limit = readNumber(tokens);
  if (metric === undefined || comparison === undefined || limit === undefined) return undefined;
  return { kind: 'compare', metric, comparison, limit };
}

function readNumber(tokens: Tokens): number | undefined {
  const text = tokens.list[tokens.next];
  if (text === undefined || !/^[0-9]/.test(text)) return undefined;
  tokens.next += 1;
  return Number(text);
}

function readMetric(tokens: Tokens): BreakerMetric | undefined {
  const name = tokens.list[tokens.next];
  tokens.next += 1;
  const values = readArguments(tokens);
  if (values === undefined) return undefined;
  const [first = 0, second = 0, third = 0, fourth = 0] = values;
  if (name === 'NetworkErrorRatio' && values.length === 0) return { kind: 'network-error-ratio' };
  if (name === 'LatencyAtQuantileMS' && values.length === 1 && first <= 100) {
    return { kind: 'latency-at-quantile-ms', quantile: first };
  }
  if (name !== 'ResponseCodeRatio' || values.length !== 4) return undefined;
  return {
    kind: 'response-code-ratio',
    from: first,
    to: second,
    dividedByFrom: third,
    dividedByTo: fourth,
  };
}

function readArguments(tokens: Tokens): readonly number[] | undefined {
  if (!take(tokens, '(')) return undefined;
  const values: number[] = [];
  if (take(tokens, ')')) return values;
  do {
    const value = readNumber(tokens);
    if (value === undefined) return undefined;
    values.push(value);
  } while (take(tokens, ','));
  return take(tokens, ')') ? values : undefined;
}

/** The response-code ratios that the expression asks for, each once. */
export function breakerRatios(
  expression: BreakerExpression,
): readonly (readonly [from: number, to: number, ofFrom: number, ofTo: number])[] {
  if (expression.kind !== 'compare') {
    const all = expression.parts.flatMap((part) => breakerRatios(part));
    return all.filter((one, at) => all.findIndex((other) => `${other}` === `${one}`) === at);
  }
  const { metric } = expression;
  if (metric.kind !== 'response-code-ratio') return [];
  return [[metric.from, metric.to, metric.dividedByFrom, metric.dividedByTo]];
}
