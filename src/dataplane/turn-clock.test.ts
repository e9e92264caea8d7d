// One time per turn, the real time outside: a wait that is armed later must not start in the past,
// and nobody is told another time twice in one turn.
import { expect, test } from 'vitest';
import { TurnClock } from './turn-clock.ts';

function running() {
  let ms = 1_000;
  const clock = new TurnClock({ nowMs: () => (ms += 1), wallMs: () => 1_000_000 + ms });
  return { clock, pass: (more: number) => (ms += more) };
}

test('the time stands still within a turn', () => {
  const { clock } = running();
  clock.begin();
  const first = clock.nowMs();
  expect(clock.nowMs()).toBe(first);
  expect(clock.wallMs()).toBe(clock.wallMs());
});

test('outside of a turn the time is the real one', () => {
  const { clock, pass } = running();
  clock.begin();
  const inTurn = clock.nowMs();
  clock.end();
  pass(500);
  expect(clock.nowMs()).toBeGreaterThan(inTurn + 500);
});

test('wall time follows within a few milliseconds', () => {
  const { clock, pass } = running();
  clock.begin();
  const before = clock.wallMs();
  clock.end();
  pass(20);
  clock.begin();
  expect(clock.wallMs() - before).toBeGreaterThanOrEqual(20);
});
