// Ejection by its numbers: what puts an endpoint out, for how long, and what lets it in again.
// Chance and time are the test's.
import { describe, expect, test } from 'vitest';
import { isEjected, isProbeDue, noteFailure, noteSuccess, takeProbe } from './outliers.ts';
import type { Fault } from './outliers.ts';

/** One endpoint with chance fixed in the middle: back-offs are 1.25 × their base. */
function endpoint() {
  const cells = new Int32Array(112);
  // A time at which the clock's 32 bits have wrapped.
  let now = -2_147_000_000;
  const place = () => ({ cells, offset: 56, now });
  return {
    pass: (ms: number) => {
      now = (now + ms) | 0;
    },
    fail: (fault: Fault = 'hard') => noteFailure(place(), fault, () => 0.5),
    succeed: () => noteSuccess(place()),
    isEjected: () => isEjected(place()),
    isProbeDue: () => isProbeDue(place()),
    takeProbe: () => takeProbe(place()),
  };
}

const times = (count: number) => Array.from({ length: count });

describe('out', () => {
  test('after 7 failures in a row, not 6', () => {
    const one = endpoint();
    for (const _ of times(40)) one.succeed();
    for (const _ of times(6)) expect(one.fail()).toBe(false);
    one.succeed();
    for (const _ of times(2)) expect(one.fail()).toBe(false);
    for (const _ of times(40)) one.succeed();
    for (const _ of times(6)) expect(one.fail()).toBe(false);
    expect(one.isEjected()).toBe(false);
    expect(one.fail()).toBe(true);
    expect(one.isEjected()).toBe(true);
  });

  test('below 0.8 successes of at least 5 attempts within 10 s', () => {
    const one = endpoint();
    for (const _ of times(4)) expect(one.fail('soft')).toBe(false);
    one.pass(11_000);
    for (const _ of times(8)) one.succeed();
    expect([one.fail(), one.fail()]).toEqual([false, false]);
    expect(one.fail()).toBe(true);
  });

  test('at once when nobody is there', () => {
    const one = endpoint();
    for (const _ of times(1_000)) one.succeed();
    expect(one.fail('refused')).toBe(true);
  });

  test('never by a 429 in a row alone', () => {
    const one = endpoint();
    for (const _ of times(100)) one.succeed();
    for (const _ of times(20)) expect(one.fail('soft')).toBe(false);
  });
});

describe('in again', () => {
  test('one request finds out, and the others wait for it', () => {
    const one = endpoint();
    one.fail('refused');
    one.pass(1_249);
    expect([one.isEjected(), one.isProbeDue()]).toEqual([true, false]);
    one.pass(2);
    expect([one.isEjected(), one.isProbeDue()]).toEqual([false, true]);
    expect([one.takeProbe(), one.takeProbe()]).toEqual([true, false]);
    expect(one.isEjected()).toBe(true);
    one.succeed();
    expect([one.isEjected(), one.isProbeDue()]).toEqual([false, false]);
  });

  test('a probe that nobody ends is followed by another', () => {
    const one = endpoint();
    one.fail('refused');
    one.pass(2_000);
    one.takeProbe();
    one.pass(5_000);
    expect([one.isProbeDue(), one.takeProbe()]).toEqual([true, true]);
  });

  test('failed probes double the time, up to a minute', () => {
    const one = endpoint();
    one.fail('refused');
    const waits: number[] = [];
    for (const _ of times(8)) {
      let waitedMs = 0;
      for (; one.isEjected(); waitedMs += 50) one.pass(50);
      waits.push(waitedMs);
      expect(one.takeProbe()).toBe(true);
      expect(one.fail()).toBe(true);
    }
    expect(waits).toEqual([1_250, 2_500, 5_000, 10_000, 20_000, 40_000, 75_000, 75_000]);
  });

  test('who flaps is out longer; a minute of good conduct is forgiven', () => {
    const one = endpoint();
    const outMs = () => {
      one.fail('refused');
      let waitedMs = 0;
      for (; one.isEjected(); waitedMs += 50) one.pass(50);
      one.takeProbe();
      one.succeed();
      return waitedMs;
    };
    expect([outMs(), outMs()]).toEqual([1_250, 2_500]);
    one.pass(61_000);
    expect(outMs()).toBe(1_250);
  });

  test('late failures of what was under way do not prolong it', () => {
    const one = endpoint();
    one.fail('refused');
    one.pass(1_000);
    for (const _ of times(10)) expect(one.fail()).toBe(false);
    one.pass(300);
    expect(one.isProbeDue()).toBe(true);
  });
});
