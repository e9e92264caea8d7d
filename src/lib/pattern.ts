// Patterns that users write (paths, header values), matched in linear time by RE2 (re2js), never by
// RegExp: a backtracking engine would let anybody who may create an HTTPRouteGroup stop a node.
// Invariant: a Pattern that compiled costs at most text × program steps, and its automaton is
// bounded in memory. Texts are single lines: `.` takes every character and `$` is the end of the
// text, so that nothing hides behind a line end.
// Syntax: https://github.com/google/re2/wiki/Syntax; no back-references, no look-around.
import { RE2JS } from 're2js';

/** Where a match may begin: at the first character of the text, or anywhere in it. */
export type PatternAnchor = 'start' | 'search';

export type Pattern = {
  readonly source: string;
  readonly matches: (text: string) => boolean;
  /** Tells most other texts without a call; `undefined` where nothing is so certain. */
  readonly probe: PatternProbe | undefined;
};

/** Every text that matches has the character of `code` at index `at`. */
export type PatternProbe = { readonly at: number; readonly code: number };

export type PatternProblem = { readonly problem: string };

/** Longest source in UTF-8 bytes; real routes stay far below it. */
export const patternBytesMax = 1024;

/**
 * Instructions of a compiled program; what a hostile pattern can cost is this times the text. 512
 * holds a UUID (40), a SHA-256 (70) or a list of sixty words, and bounds a match against an 8 KiB
 * path, in the worst case that fuzzing found, at about 40 ms.
 */
const programSizeMax = 512;

/** Memory that the lazily built automaton of one pattern may take; re2js would take 8 MiB. */
const automatonBytesMax = 128 * 1024;

/** Compiles what a user wrote; `start` means `^(?:source)` (smi R-20), `search` anywhere. */
export function compilePattern(source: string, anchor: PatternAnchor): Pattern | PatternProblem {
  if (utf8Length(source) > patternBytesMax) {
    return { problem: `pattern is longer than ${patternBytesMax} bytes` };
  }
  const shape = plainShape(source, anchor);
  if (shape !== undefined) {
    return { source, matches: plainMatcher(shape), probe: probeOf(shape) };
  }
  if (expandedSize(source) > programSizeMax * 4) return tooLarge();
  return compileProgram(source, anchor);
}

function compileProgram(source: string, anchor: PatternAnchor): Pattern | PatternProblem {
  try {
    // Alone first: `a)|(?:b` is no pattern, although `^(?:a)|(?:b)` is one, and a wider one.
    const alone = RE2JS.compile(source, RE2JS.DOTALL);
    if (alone.programSize() > programSizeMax) return tooLarge();
    const engine =
      anchor === 'search' ? alone : RE2JS.compile(`^(?:${source})`, RE2JS.DOTALL);
    const { dfa } = engine.re2();
    dfa.stateBudget = automatonBytesMax;
    dfa.memBudget = automatonBytesMax;
    return { source, matches: (text) => engine.test(text), probe: undefined };
  } catch (error) {
    // re2js reports every syntax error by throwing; its message names what it did not understand.
    const detail = error instanceof Error ? error.message : 'unknown error';
    return { problem: `pattern is not valid RE2: ${detail}` };
  }
}

function tooLarge(): PatternProblem {
  return { problem: `pattern compiles to more than ${programSizeMax} instructions` };
}

function utf8Length(text: string): number {
  // A longer string cannot have fewer bytes, so a megabyte is never encoded.
  if (text.length > patternBytesMax) return text.length;
  return new TextEncoder().encode(text).length;
}

/** `^? (.*)? literal (.*)? $?`: what string functions decide; anything else is left to RE2. */
type PlainShape = {
  readonly literal: string;
  readonly isStartFixed: boolean;
  readonly isEndFixed: boolean;
};

function plainMatcher({ literal, isStartFixed, isEndFixed }: PlainShape): Pattern['matches'] {
  if (isStartFixed && isEndFixed) return (text) => text === literal;
  if (isStartFixed) return (text) => text.startsWith(literal);
  if (isEndFixed) return (text) => text.endsWith(literal);
  return (text) => text.includes(literal);
}

/** Paths of one service begin alike and end in slashes: the last other character tells most. */
function probeOf({ literal, isStartFixed }: PlainShape): PatternProbe | undefined {
  let at = literal.length - 1;
  while (at > 0 && literal.charAt(at) === '/') at -= 1;
  return isStartFixed && at >= 0 ? { at, code: literal.charCodeAt(at) } : undefined;
}

function plainShape(source: string, anchor: PatternAnchor): PlainShape | undefined {
  let from = 0;
  let to = source.length;
  let isStartFixed = anchor === 'start';
  if (source.startsWith('^')) {
    isStartFixed = true;
    from = 1;
  }
  if (source.startsWith('.*', from)) {
    isStartFixed = false;
    from += 2;
  }
  // Of `\$` and `\.*` a lone backslash is left over, which is no literal: RE2 decides.
  let isEndFixed = false;
  if (to > from && source.endsWith('$')) {
    isEndFixed = true;
    to -= 1;
  }
  if (to - 2 >= from && source.endsWith('.*', to)) {
    isEndFixed = false;
    to -= 2;
  }
  const literal = unescapedLiteral(source, from, to);
  return literal === undefined ? undefined : { literal, isStartFixed, isEndFixed };
}

/** Characters that mean themselves in RE2 wherever they stand. */
const plainCharacter = /^[A-Za-z0-9/_\-~%=&;:,@!'"<># ]$/;
/** Escaped punctuation means itself. */
const punctuation = /^[!-/:-@[-`{-~]$/;

/** The text that source[from, to) stands for if it holds nothing but literals. */
function unescapedLiteral(source: string, from: number, to: number): string | undefined {
  let literal = '';
  for (let at = from; at < to; at += 1) {
    const character = source.charAt(at);
    if (plainCharacter.test(character)) {
      literal += character;
    } else if (character === '\\' && at + 1 < to && punctuation.test(source.charAt(at + 1))) {
      at += 1;
      literal += source.charAt(at);
    } else {
      return undefined;
    }
  }
  return literal;
}

/** What one open group has come to: everything before its last atom, and that atom. */
type GroupSize = { before: number; last: number };

/**
 * About how many instructions `source` expands to, counted before it is compiled: re2js spends
 * minutes on `(\pL{1000})` ninety times over before it says that it is too large. Never throws; a
 * source that is no pattern gets some number, and its error from the compiler.
 */
function expandedSize(source: string): number {
  const outer: GroupSize[] = [];
  let group: GroupSize = { before: 0, last: 0 };
  for (let at = 0; at < source.length; ) {
    const token = tokenAt(source, at);
    at = token.end;
    if (token.kind === 'open') {
      outer.push(group);
      group = { before: 0, last: 0 };
    } else if (token.kind === 'close') {
      const inner = group.before + group.last + 2;
      group = outer.pop() ?? { before: 0, last: 0 };
      group = { before: group.before + group.last, last: inner };
    } else if (token.kind === 'repeat') {
      group.last = (group.last + 1) * token.count;
    } else {
      group = { before: group.before + group.last, last: token.count };
    }
    if (group.before + group.last > Number.MAX_SAFE_INTEGER / 2048) break;
  }
  return outer.reduce((sum, each) => sum + each.before + each.last, group.before + group.last);
}

type Token = {
  readonly kind: 'open' | 'close' | 'repeat' | 'atom';
  readonly count: number;
  readonly end: number;
};

function tokenAt(source: string, at: number): Token {
  const character = source.charAt(at);
  if (character === '(') return { kind: 'open', count: 0, end: at + 1 };
  if (character === ')') return { kind: 'close', count: 0, end: at + 1 };
  if (character === '[') return { kind: 'atom', count: 1, end: classEnd(source, at) };
  if (character === '\\') return escapeToken(source, at);
  if (character === '{') {
    const repeat = /^\{(\d{1,4})(?:,(\d{0,4}))?\}/.exec(source.slice(at, at + 12));
    if (repeat === null) return { kind: 'atom', count: 1, end: at + 1 };
    const count = Math.max(1, Number(repeat[1]), Number(repeat[2] ?? 0));
    return { kind: 'repeat', count, end: at + repeat[0].length };
  }
  if (character === '*' || character === '+' || character === '?') {
    return { kind: 'repeat', count: 1, end: at + 1 };
  }
  return { kind: 'atom', count: 1, end: at + 1 };
}

function escapeToken(source: string, at: number): Token {
  const next = source.charAt(at + 1);
  if (next === 'Q') {
    const close = source.indexOf('\\E', at + 2);
    const end = close === -1 ? source.length : close + 2;
    return { kind: 'atom', count: end - at, end };
  }
  if ((next === 'p' || next === 'P' || next === 'x') && source.charAt(at + 2) === '{') {
    const close = source.indexOf('}', at + 3);
    return { kind: 'atom', count: 1, end: close === -1 ? source.length : close + 1 };
  }
  return { kind: 'atom', count: 1, end: at + 2 };
}

/** Index after the `]` that ends the class which begins at `at`. */
function classEnd(source: string, at: number): number {
  let end = at + 1;
  if (source.charAt(end) === '^') end += 1;
  if (source.charAt(end) === ']') end += 1;
  while (end < source.length && source.charAt(end) !== ']') {
    const named = source.startsWith('[:', end) ? source.indexOf(':]', end + 2) : -1;
    if (named !== -1) end = named + 2;
    else end += source.charAt(end) === '\\' ? 2 : 1;
  }
  return Math.min(source.length, end + 1);
}
