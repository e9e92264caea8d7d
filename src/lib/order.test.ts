// Sorting that is free where nothing is to be done gives what sorting always gives.
// Texts come in any order, with repeats; what is in order already is not copied.
import { describe, expect, test } from 'vitest';
import { eachOnce } from './order.ts';

describe('eachOnce', () => {
  test.each([
    [[], []],
    [['b'], ['b']],
    [
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ],
    [
      ['b', 'a'],
      ['a', 'b'],
    ],
    [['a', 'a'], ['a']],
    [
      ['c', 'a', 'c', 'b'],
      ['a', 'b', 'c'],
    ],
  ])('of %j is %j', (texts, expected) => {
    expect(eachOnce(texts)).toEqual(expected);
  });

  test('is the very list where that is in order', () => {
    const texts = ['a', 'b'];
    expect(eachOnce(texts)).toBe(texts);
  });
});
