// User patterns: anchoring, dialect, bounds, linear time (A11), and a
// comparison with RegExp where RegExp is safe.
import { describe, expect, test } from 'vitest';
import type { PatternAnchor } from './pattern.ts';
import { compilePattern, patternBytesMax } from './pattern.ts';
import { seededRandom } from './random.ts';

function matches(source: string, anchor: PatternAnchor, text: string): boolean {
  const pattern = compilePattern(source, anchor);
  if ('problem' in pattern) throw new Error(`${source}: ${pattern.problem}`);
  return pattern.matches(text);
}

function problemOf(source: string): string | undefined {
  const pattern = compilePattern(source, 'start');
  return 'problem' in pattern ? pattern.problem : undefined;
}

describe('R-20 a path pattern is anchored at the start alone', () => {
  test.each([
    ['/metrics', '/metrics', true],
    ['/metrics', '/metrics/x', true],
    ['/metrics', '/metricsfoo', true],
    ['/metrics', '/api/metrics', false],
    ['/a|/b', '/b/x', true],
    ['/a|/b', '/x/b', false],
    ['/a|/b', '/x/a', false],
    ['^/a', '/a/x', true],
    ['/a$', '/a', true],
    ['/a$', '/a/x', false],
    ['', '/anything', true],
    ['.*', '/anything', true],
    ['.*/admin', '/x/admin/y', true],
    ['/v[0-9]+/.*', '/v12/x', true],
    ['/v[0-9]+/.*', '/v/x', false],
    ['/a\\.b', '/a.b', true],
    ['/a\\.b', '/aXb', false],
    ['/a.b', '/aXb', true],
    ['/a\\.*', '/a...', true],
    ['/a\\.*', '/ab', true],
    ['/a\\.*$', '/ab', false],
    ['/a\\$', '/a$', true],
    ['/a\\$', '/a', false],
  ])('%s on %s is %s', (source, text, expected) => {
    expect(matches(source, 'start', text)).toBe(expected);
  });
});

describe('R-22 a header pattern is searched for', () => {
  test.each([
    ['Firefox', 'Mozilla Firefox 3', true],
    ['.*Firefox.*', 'Mozilla Firefox 3', true],
    ['^Firefox', 'Mozilla Firefox 3', false],
    ['^Mozilla.*3$', 'Mozilla Firefox 3', true],
    ['^(.*?;)?(type=insider)(;.*)?$', 'a=b;type=insider;c=d', true],
    ['^(.*?;)?(type=insider)(;.*)?$', 'type=insiders', false],
    ['fox$', 'firefox', true],
    ['fox$', 'foxes', false],
    ['(?i)FIREFOX', 'firefox', true],
  ])('%s on %s is %s', (source, text, expected) => {
    expect(matches(source, 'search', text)).toBe(expected);
  });
});

test('a source that only becomes a pattern when it is wrapped is a problem', () => {
  expect(problemOf('a)|(?:b')).toContain('not valid RE2');
});

test('a probe is true of every text that matches, and absent where nothing is certain', () => {
  const probeOf = (source: string, anchor: PatternAnchor) => {
    const pattern = compilePattern(source, anchor);
    return 'problem' in pattern ? pattern : pattern.probe;
  };
  expect(probeOf('/api/v1/.*', 'start')).toEqual({ at: 6, code: 0x31 });
  expect(probeOf('/a\\.b$', 'start')).toEqual({ at: 3, code: 0x62 });
  expect(probeOf('^x', 'search')).toEqual({ at: 0, code: 0x78 });
  expect(probeOf('/', 'start')).toEqual({ at: 0, code: 0x2f });
  for (const source of ['', '.*', '.*x', 'x|y', '[x]']) {
    expect(probeOf(source, 'start')).toBeUndefined();
  }
  expect(probeOf('x', 'search')).toBeUndefined();
});

test('line ends hide nothing: a dot takes them and a dollar does not see them', () => {
  expect(matches('/a.*z', 'start', '/a\nz')).toBe(true);
  expect(matches('/a[b]?.z$', 'start', '/a\nz')).toBe(true);
  expect(matches('a[b]?.z', 'search', 'xa\nz')).toBe(true);
  expect(matches('/a[b]?$', 'start', '/a\nz')).toBe(false);
  expect(matches('/a$', 'start', '/a\n')).toBe(false);
});

test.each([['(?=a)b'], ['(?<=a)b'], ['(a)\\1'], ['a{1001}'], ['['], ['(a'], ['a**'], ['*a']])(
  'R-29 what RE2 does not know is a problem: %s',
  (source) => {
    expect(problemOf(source)).toBeDefined();
  },
);

test('a source of more than 1024 bytes is a problem, counted in bytes', () => {
  expect(problemOf('a'.repeat(patternBytesMax))).toBeUndefined();
  expect(problemOf('a'.repeat(patternBytesMax + 1))).toContain('longer than 1024 bytes');
  expect(problemOf('é'.repeat(patternBytesMax / 2 + 1))).toContain('longer than 1024 bytes');
  expect(problemOf('x'.repeat(1_000_000))).toContain('longer than 1024 bytes');
});

test.each([
  ['(\\pL{1000})'.repeat(90)],
  ['((a{30}){30}){30}'],
  ['(a?){1000}'],
  [`${'('.repeat(9)}a${'{9})'.repeat(9)}`],
  ['[^]]{600}'],
  ['[[:alpha:]{1}]{600}'],
  ['\\Q{\\E{600}'],
  ['(a|b)*a(a|b){400}'],
])('a program that would be too large is a problem at once: %.30s', (source) => {
  expect(problemOf(source)).toContain('instructions');
});

test('A11 what makes RegExp hang is matched in linear time', () => {
  const text = `${'a'.repeat(100_000)}!`;
  expect(matches('(a+)+$', 'start', text)).toBe(false);
  expect(matches('(a+)+$', 'search', text)).toBe(false);
  expect(matches('^(a|aa)*$', 'search', text)).toBe(false);
  expect(matches('(.*)(.*)(.*)(.*)[^!]$', 'search', text)).toBe(false);
});

test('a pattern with countless states stays within its memory and answers right', () => {
  const random = seededRandom(7);
  const text = Array.from({ length: 4000 }, () => (random() < 0.5 ? 'a' : 'b')).join('');
  expect(matches('(a|b)*a(a|b){60}[cd]', 'start', `${text}e`)).toBe(false);
  expect(matches('(a|b)*a(a|b){60}[cd]', 'start', `${text}a${'b'.repeat(60)}c`)).toBe(true);
});

// Sources without nested repeats, so that RegExp is a fair and fast oracle on short texts.
const pieces = 'a b ab / \\. . .* a+ b? [ab] [^a] (?:a|b/) \\d | $ ^'.split(' ');

function randomSource(random: () => number): string {
  const length = 1 + Math.floor(random() * 6);
  return Array.from({ length }, () => pieces[Math.floor(random() * pieces.length)]).join('');
}

test('RE2 and the fast paths agree with RegExp on safe patterns (seed 11)', () => {
  const random = seededRandom(11);
  const alphabet = 'ab/.1';
  let matched = 0;
  for (let round = 0; round < 2000; round += 1) {
    const source = randomSource(random);
    const text = Array.from({ length: Math.floor(random() * 7) }, () =>
      alphabet.charAt(Math.floor(random() * alphabet.length)),
    ).join('');
    for (const anchor of ['start', 'search'] as const) {
      const oracle = oracleOf(source, anchor);
      const pattern = compilePattern(source, anchor);
      if (oracle === undefined || 'problem' in pattern) continue;
      const expected = oracle.test(text);
      // Compared by hand first: thousands of assertions cost more than the matches.
      if (pattern.matches(text) !== expected) expect({ source, anchor, text }).toBe(expected);
      const { probe } = pattern;
      const isProbed = probe === undefined || text.charCodeAt(probe.at) === probe.code;
      if (expected && !isProbed) expect({ source, anchor, text }).toBe('probed');
      matched += Number(expected);
    }
  }
  expect(matched).toBeGreaterThan(300);
});

function oracleOf(source: string, anchor: PatternAnchor): RegExp | undefined {
  try {
    return new RegExp(anchor === 'start' ? `^(?:${source})` : source, 's');
  } catch {
    // `^+` and the like: RegExp refuses some sources that RE2 takes.
    return undefined;
  }
}
