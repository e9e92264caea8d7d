// Sorting that is free where nothing is to be done gives what sorting always gives.
// Texts come in any order, with repeats; what is in order already is not copied.
import { describe, expect, test } from 'vitest';
import { eachOnce, withKeysInOrder } from './order.ts';

describe('withKeysInOrder', () => {
  test('is the very map where its keys are in order, else a sorted copy', () => {
    const sorted = new Map(['a', 'a/b', 'b'].map((key) => [key, key.length]));
    expect(withKeysInOrder(sorted)).toBe(sorted);
    const shuffled = new Map([...sorted].reverse());
    expect([...withKeysInOrder(shuffled)]).toEqual([...sorted]);
    expect([...shuffled.keys()]).toEqual(['b', 'a/b', 'a']);
  });
});

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
    [
      ['c', 'b', 'a', 'd', 'b', '', 'c'],
      ['', 'a', 'b', 'c', 'd'],
    ],
    [[...'weftbywarpandweft'], [...'abdefnprtwy']],
  ])('of %j is %j', (texts, expected) => {
    expect(eachOnce(texts)).toEqual(expected);
  });

  test('is the very list where that is in order', () => {
    const texts = ['a', 'b'];
    expect(eachOnce(texts)).toBe(texts);
  });
});
