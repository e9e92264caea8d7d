// Circuit breaker expressions in the language that Maesh users know (Traefik's, from oxy):
// `NetworkErrorRatio() > 0.3 && ResponseCodeRatio(500, 600, 0, 600) > 0.25`, with `&&`, `||`, `!`
// and brackets. Only reading is here; what a metric's value is now is the concern of whoever drives
// the breaker. What cannot be read is told by its column, the first character being 1.

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
  /** `!` binds to the brackets or to the whole comparison that follow it. */
  | { readonly kind: 'not'; readonly part: BreakerExpression }
  | {
      readonly kind: 'compare';
      readonly metric: BreakerMetric;
      readonly comparison: BreakerComparison;
      readonly limit: number;
    };

/** Different response-code ratios that one expression may ask for: each is counted on its own. */
export const breakerRatiosMax = 8;

const textMax = 1024;
/** Brackets and negations in each other. */
const depthMax = 8;
const comparisons: readonly BreakerComparison[] = ['>=', '<=', '==', '!=', '>', '<'];

type Token = { readonly text: string; readonly column: number };

/** The tokens that are left; each function takes its own from the front. */
type Tokens = {
  readonly list: readonly Token[];
  /** Where the text ends. */
  readonly end: number;
  next: number;
  /** Response-code ratios so far, each once. */
  readonly ratios: Set<string>;
  /** The first thing that was wrong. */
  fault: string | undefined;
};

/** The expression, or `undefined` when the text is none. */
export function parseBreakerExpression(text: string): BreakerExpression | undefined {
  const { expression, fault } = read(text);
  return fault === undefined ? expression : undefined;
}

/** What is wrong with a text that is no expression; `undefined`: it is one. */
export function breakerExpressionFault(text: string): string | undefined {
  return read(text).fault;
}

function read(text: string): { expression?: BreakerExpression | undefined; fault?: string } {
  if (text.length > textMax) return { fault: `column ${textMax + 1}: more characters than that` };
  const end = text.trimEnd().length + 1;
  const tokens: Tokens = {
    list: tokensOf(text), end, next: 0, ratios: new Set<string>(), fault: undefined,
  };
  const expression = readJoined(tokens, 'or', 0);
  if (expression !== undefined && tokens.next < tokens.list.length) expected(tokens, '&& or ||');
  return tokens.fault === undefined ? { expression } : { fault: tokens.fault };
}

/** A character that belongs to no token is one by itself, which nothing expects. */
function tokensOf(text: string): readonly Token[] {
  const token = /\|\||&&|[<>=!]=|[0-9]+(?:\.[0-9]+)?|[A-Za-z]+|\S/gu;
  return [...text.matchAll(token)].map((match) => {
    return { text: match[0], column: match.index + 1 };
  });
}

/** Notes what should have stood at the next token. Never more than the first fault. */
function expected(tokens: Tokens, what: string): undefined {
  const found = tokens.list[tokens.next];
  const shown = found === undefined ? 'the end' : `'${printable(found.text)}'`;
  return fail(tokens, tokens.next, `expected ${what}, found ${shown}`);
}

function fail(tokens: Tokens, at: number, message: string): undefined {
  tokens.fault ??= `column ${tokens.list[at]?.column ?? tokens.end}: ${message}`;
  return undefined;
}

function printable(text: string): string {
  const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return short.replace(/[^ -~…]/gu, (one) => `U+${one.codePointAt(0)?.toString(16) ?? ''}`);
}

function take(tokens: Tokens, wanted: string): boolean {
  if (tokens.list[tokens.next]?.text !== wanted) return false;
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
  const at = tokens.next;
  const isNegated = take(tokens, '!');
  if (!isNegated && !take(tokens, '(')) return readComparison(tokens);
  if (depth >= depthMax) {
    return fail(tokens, at, `more than ${depthMax} brackets and negations in each other`);
  }
  if (isNegated) {
    const part = readTerm(tokens, depth + 1);
    return part === undefined ? undefined : { kind: 'not', part };
  }
  const inner = readJoined(tokens, 'or', depth + 1);
  if (inner === undefined || take(tokens, ')')) return inner;
  return expected(tokens, "&&, || or ')'");
}

function readComparison(tokens: Tokens): BreakerExpression | undefined {
  const metric = readMetric(tokens);
  if (metric === undefined) return undefined;
  const comparison = comparisons.find((candidate) => take(tokens, candidate));
  if (comparison === undefined) return expected(tokens, 'one of > >= < <= == !=');
  const limit = readNumber(tokens);
  return limit === undefined ? undefined : { kind: 'compare', metric, comparison, limit };
}

function readNumber(tokens: Tokens): number | undefined {
  const text = tokens.list[tokens.next]?.text;
  if (text === undefined || !/^[0-9]/.test(text)) return expected(tokens, 'a number');
  tokens.next += 1;
  return Number(text);
}

/** How many numbers each metric takes. */
const metrics: ReadonlyMap<string, number> = new Map([
  ['NetworkErrorRatio', 0],
  ['LatencyAtQuantileMS', 1],
  ['ResponseCodeRatio', 4],
]);

function readMetric(tokens: Tokens): BreakerMetric | undefined {
  const at = tokens.next;
  const name = tokens.list[at]?.text ?? '';
  const takes = metrics.get(name);
  if (takes === undefined) return expected(tokens, `${[...metrics.keys()].join(', ')}, '!' or '('`);
  tokens.next += 1;
  const values = readArguments(tokens);
  if (values === undefined) return undefined;
  if (values.length !== takes) {
    const numbers = takes === 1 ? 'number' : 'numbers';
    return fail(tokens, at, `${name} takes ${takes} ${numbers}, found ${values.length}`);
  }
  return metricOf(tokens, at, values);
}

function metricOf(
  tokens: Tokens,
  at: number,
  [first = 0, second = 0, third = 0, fourth = 0]: readonly number[],
): BreakerMetric | undefined {
  switch (tokens.list[at]?.text) {
    case 'NetworkErrorRatio':
      return { kind: 'network-error-ratio' };
    case 'LatencyAtQuantileMS':
      if (first <= 100) return { kind: 'latency-at-quantile-ms', quantile: first };
      return fail(tokens, at + 2, `a quantile is at most 100, found ${first}`);
    default:
      tokens.ratios.add(`${first} ${second} ${third} ${fourth}`);
      if (tokens.ratios.size > breakerRatiosMax) {
        return fail(tokens, at, `more than ${breakerRatiosMax} different ResponseCodeRatio`);
      }
      return {
        kind: 'response-code-ratio',
        from: first,
        to: second,
        dividedByFrom: third,
        dividedByTo: fourth,
      };
  }
}

function readArguments(tokens: Tokens): readonly number[] | undefined {
  if (!take(tokens, '(')) return expected(tokens, "'('");
  const values: number[] = [];
  if (take(tokens, ')')) return values;
  do {
    const value = readNumber(tokens);
    if (value === undefined) return undefined;
    values.push(value);
  } while (take(tokens, ','));
  return take(tokens, ')') ? values : expected(tokens, "',' or ')'");
}

/** The response-code ratios that the expression asks for, each once. */
export function breakerRatios(
  expression: BreakerExpression,
): readonly (readonly [from: number, to: number, ofFrom: number, ofTo: number])[] {
  if (expression.kind === 'not') return breakerRatios(expression.part);
  if (expression.kind !== 'compare') {
    const all = expression.parts.flatMap((part) => breakerRatios(part));
    return all.filter((one, at) => all.findIndex((other) => `${other}` === `${one}`) === at);
  }
  const { metric } = expression;
  if (metric.kind !== 'response-code-ratio') return [];
  return [[metric.from, metric.to, metric.dividedByFrom, metric.dividedByTo]];
}
