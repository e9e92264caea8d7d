// Deadlines on a clock that the tests move: never early, late by at most a tick, one timer for all,
// and safe against callbacks that arm and disarm.
import { describe, expect, test } from 'vitest';
import { fakeTime } from '../../test/support/fake-time.ts';
import { seededRandom } from '../lib/random.ts';
import { Deadline, Deadlines } from './deadlines.ts';

describe('deadlines', () => {
  test('expire once, not early, late by at most two ticks, over many turns of the wheel', () => {
    const time = fakeTime({ startMs: 1_000.5 });
    const deadlines = new Deadlines(time.clock, time.timers);
    const random = seededRandom(3);
    const late: number[] = [];
    for (let n = 0; n < 2_000; n += 1) {
      const dueMs = time.nowMs() + random() * 60_000;
      const one = new Deadline(() => late.push(time.nowMs() - dueMs));
      deadlines.arm(one, dueMs - time.nowMs());
      if (n % 10 === 0) time.advance(random() * 50);
    }
    expect(time.timerCount()).toBe(1);
    time.advance(120_000);
    expect(late).toHaveLength(2_000);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThanOrEqual(50);
    expect(deadlines.armed).toBe(0);
    expect(time.timerCount()).toBe(0);
  });

  test('a deadline that is armed again expires at its new time alone', () => {
    const time = fakeTime({ startMs: 1_000.5 });
    const deadlines = new Deadlines(time.clock, time.timers);
    let count = 0;
    const one = new Deadline(() => (count += 1));
    deadlines.arm(one, 100);
    time.advance(80);
    deadlines.arm(one, 100);
    time.advance(80);
    expect(count).toBe(0);
    time.advance(80);
    expect(count).toBe(1);
  });

  test('a disarmed deadline does not expire, not even when a neighbour disarms it', () => {
    const time = fakeTime({ startMs: 1_000.5 });
    const deadlines = new Deadlines(time.clock, time.timers);
    const fired: string[] = [];
    const first = new Deadline(() => {
      fired.push('first');
      deadlines.disarm(second);
      deadlines.arm(third, 10);
    });
    const second = new Deadline(() => {
      fired.push('second');
      deadlines.disarm(first);
      deadlines.arm(third, 10);
    });
    const third = new Deadline(() => fired.push('third'));
    deadlines.arm(first, 100);
    deadlines.arm(second, 100);
    time.advance(300);
    expect(fired).toHaveLength(2);
    expect(fired[1]).toBe('third');
  });

  test('after close nothing runs', () => {
    const time = fakeTime({ startMs: 1_000.5 });
    const deadlines = new Deadlines(time.clock, time.timers);
    let count = 0;
    deadlines.arm(new Deadline(() => (count += 1)), 100);
    deadlines.close();
    time.advance(1_000);
    expect(count).toBe(0);
    expect(deadlines.armed).toBe(0);
    expect(time.timerCount()).toBe(0);
  });
});
