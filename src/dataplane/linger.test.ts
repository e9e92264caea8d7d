// The patience with a client that is to read its last answer; asked every two seconds of
// `lingerMs`. It ends when everything was taken, or nothing for too long.
import { expect, test } from 'vitest';
import { Linger } from './linger.ts';

/** How often it was asked until it was over, with these counts of unsent bytes. */
function asked(unsent: readonly number[]): number {
  const linger = new Linger(100, 6_000);
  return unsent.findIndex((bytes) => linger.isOver(bytes)) + 1;
}

test.each([
  ['at once when everything was taken', [0], 1],
  ['after the patience when nothing is taken', [100, 100, 100, 100], 3],
  ['anew with each byte that is taken', [100, 100, 99, 99, 99, 99], 6],
  ['never while something is taken', [90, 80, 70, 60, 50, 40, 30, 20, 10], 0],
])('it is over %s', (_, unsent, times) => {
  expect(asked(unsent)).toBe(times);
});
