// What is learnt of long answers, and forgotten again; who uses it is tried in
// test/integration/tunnel-lanes.test.ts.
import { expect, test } from 'vitest';
import { LongBodies } from './tunnel-bodies.ts';

test('a call that has had a long answer is expected to have another one', () => {
  const long = new LongBodies();
  expect(long.expects('a')).toBe(false);
  long.note('a', true);
  expect([long.expects('a'), long.expects('b')]).toEqual([true, false]);
});

test('a call whose answers are short again is forgotten', () => {
  const long = new LongBodies();
  long.note('a', true);
  long.note('a', false);
  long.note('a', false);
  expect(long.expects('a')).toBe(false);
  for (let answer = 0; answer < 30; answer += 1) long.note('a', false);
  expect(long.size).toBe(0);
});

test('one short answer among long ones changes nothing', () => {
  const long = new LongBodies();
  for (let answer = 0; answer < 20; answer += 1) long.note('a', true);
  long.note('a', false);
  expect(long.expects('a')).toBe(true);
});

test('no more calls are known than there is room for', () => {
  const long = new LongBodies();
  for (let call = 0; call < 5_000; call += 1) long.note(`call ${call}`, true);
  expect(long.size).toBeLessThanOrEqual(1_024);
  expect(long.expects('call 4999')).toBe(true);
});
