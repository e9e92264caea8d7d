// Equality of parsed objects. A false "equal" hides a change from the mesh, so each shape is tried
// in both directions.
import { expect, test } from 'vitest';
import { sameValue } from './same-value.ts';

const equal: readonly (readonly [one: unknown, other: unknown])[] = [
  [{ a: [1, { b: 'x' }] }, { a: [1, { b: 'x' }] }],
  [new Map([['a', { b: 1 }]]), new Map([['a', { b: 1 }]])],
  [{ a: undefined }, { a: undefined }],
  [{ a: 1, b: 2 }, { b: 2, a: 1 }],
  [Number.NaN, Number.NaN],
  [[], []],
];

const different: readonly (readonly [one: unknown, other: unknown])[] = [
  [{ a: 1 }, { a: 1, b: 2 }],
  [{ a: undefined }, { b: undefined }],
  [{ a: undefined }, {}],
  [[1, 2], [1, 2, 3]],
  [[1, 2], [2, 1]],
  [[], {}],
  [{ length: 0 }, []],
  [new Map([['a', 1]]), new Map([['a', 2]])],
  [new Map([['a', 1]]), new Map([['a', 1], ['b', 2]])],
  [new Map([['a', undefined]]), new Map([['b', undefined]])],
  [new Map(), {}],
  [null, {}],
  [undefined, null],
  ['1', 1],
];

test('equal values are equal, whatever they are made of', () => {
  for (const [one, other] of equal) {
    expect([one, sameValue(one, other), sameValue(other, one)]).toEqual([one, true, true]);
  }
});

test('a difference at any depth is seen from both sides', () => {
  for (const [one, other] of different) {
    for (const wrap of [(value: unknown) => value, (value: unknown) => ({ in: [value] })]) {
      expect([one, sameValue(wrap(one), wrap(other))]).toEqual([one, false]);
      expect([other, sameValue(wrap(other), wrap(one))]).toEqual([other, false]);
    }
  }
});
