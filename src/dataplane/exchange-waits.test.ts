// What an exchange waits for, on clocks of the test's own: whatever the exchanges before it on the
// same connection have waited for, nothing comes early, late or twice, and requests that are
// answered in time cost next to no timers.
import { describe, expect, test } from 'vitest';
import { fakeTime } from '../../test/support/fake-time.ts';
import type { Timers } from '../lib/clock.ts';
import { Deadlines, fineTickMs } from './deadlines.ts';
import { ExchangeWaits } from './exchange-waits.ts';

function fixture() {
  const time = fakeTime({ startMs: 1_000.5 });
  let timersSet = 0;
  const timers: Timers = {
    after: (delayMs, run) => {
      timersSet += 1;
      return time.timers.after(delayMs, run);
    },
  };
  const deadlines = new Deadlines(time.clock, timers);
  const fineDeadlines = new Deadlines(time.clock, timers, fineTickMs);
  const waits = new ExchangeWaits({ deadlines, fineDeadlines }, (step) => step());
  const told: [what: string, atMs: number][] = [];
  const tell = (what: string) => (): void => void told.push([what, time.nowMs()]);
  const user = {
    idleExpired: tell('idle'),
    totalExpired: tell('total'),
    waitExpired: tell('wait'),
    hedgeDue: tell('hedge'),
  };
  const armed = () => deadlines.armed + fineDeadlines.armed;
  return { time, waits, told, user, armed, timersSet: () => timersSet };
}

/** A tick of each wheel: always late, never early. */
const lateMs = 25;

describe('after exchanges that were answered in time', () => {
  function answered() {
    const made = fixture();
    for (let n = 0; n < 50; n += 1) {
      made.waits.begin(made.user, 90_000, 60_000);
      made.waits.wait(30_000);
      made.waits.waitForHedge(200);
      made.time.advance(7);
      made.waits.end();
      made.time.advance(3);
    }
    return made;
  }

  test('nothing has expired, and nothing does while none is under way', () => {
    const { time, told, armed } = answered();
    time.advance(100_000);
    expect(told).toEqual([]);
    expect(armed()).toBe(0);
  });

  test('no timer was set for each of them', () => {
    expect(answered().timersSet()).toBeLessThan(20);
  });

  test.each([
    ['hedge', 200],
    ['wait', 30_000],
    ['total', 60_000],
    ['idle', 90_000],
  ] as const)('%s comes to the next one in its own time', (what, afterMs) => {
    const { time, waits, told, user } = answered();
    const beganMs = time.nowMs();
    waits.begin(user, 90_000, what === 'total' ? 60_000 : undefined);
    if (what === 'wait') waits.wait(30_000);
    if (what === 'hedge') waits.waitForHedge(200);
    time.advance(afterMs + lateMs);
    expect(told.map(([one]) => one)).toEqual([what]);
    const [, atMs = 0] = told[0] ?? [];
    expect(atMs - beganMs).toBeGreaterThanOrEqual(afterMs);
    expect(atMs - beganMs).toBeLessThanOrEqual(afterMs + (what === 'hedge' ? fineTickMs : lateMs));
  });

  test('a shorter wait of the next one is armed at once', () => {
    const { time, waits, told, user } = answered();
    waits.begin(user, 90_000, undefined);
    waits.wait(40);
    waits.waitForHedge(10);
    time.advance(40 + lateMs);
    expect(told.map(([one]) => one)).toEqual(['hedge', 'wait']);
  });

  test('a hedge that is not wanted any more is none', () => {
    const { time, waits, told, user } = answered();
    waits.begin(user, 90_000, undefined);
    waits.waitForHedge(200);
    waits.stopHedge();
    time.advance(1_000);
    expect(told).toEqual([]);
  });

  test('the end of the connection leaves nothing armed', () => {
    const { waits, armed } = answered();
    waits.close();
    expect(armed()).toBe(0);
  });
});

describe('an exchange', () => {
  test('that goes on is told of each thing once, in the order in which they are due', () => {
    const { time, waits, told, user } = fixture();
    waits.begin(user, 500, 1_000);
    waits.wait(100);
    time.advance(300);
    waits.touch();
    time.advance(2_000);
    expect(told.map(([what]) => what)).toEqual(['wait', 'idle', 'total']);
  });

  test('is not told of idle time while something moves', () => {
    const { time, waits, told, user } = fixture();
    waits.begin(user, 100, undefined);
    for (let n = 0; n < 20; n += 1) {
      time.advance(80);
      waits.touch();
    }
    expect(told).toEqual([]);
  });
});
