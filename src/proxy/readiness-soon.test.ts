// The question of the kubelet is kept while a proxy starts, and only then; time is the test's own,
// so that a second of waiting takes none.
import { describe, expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import type { Readiness } from './readiness.ts';
import { readinessSoon } from './readiness-soon.ts';

function asked(readyAtMs: number, wasReady = false) {
  const fake = new FakeRuntime();
  const answers: (readonly [atMs: number, isReady: boolean])[] = [];
  const look = (): Readiness => {
    const isReady = fake.nowMs >= readyAtMs;
    return { isReady, waitsFor: isReady ? [] : ['the first snapshot'] };
  };
  void readinessSoon({ runtime: fake.runtime, look, wasReady: () => wasReady }).then((answer) =>
    answers.push([fake.nowMs, answer.isReady]),
  );
  return { fake, answers };
}

describe('a proxy that is asked whether it is ready', () => {
  test('while it starts answers as soon as it is', async () => {
    const { fake, answers } = asked(500);
    await fake.advance(480);
    expect(answers).toEqual([]);
    await fake.advance(1_000);
    expect(answers).toEqual([[500, true]]);
  });

  test('says no before the probe gives up', async () => {
    const { fake, answers } = asked(5_000);
    await fake.advance(2_000);
    expect(answers).toEqual([[1_400, false]]);
    expect(fake.timerCount).toBe(0);
  });

  test('says no at once when it has been ready before', async () => {
    const { fake, answers } = asked(500, true);
    await fake.advance(0);
    expect(answers).toEqual([[0, false]]);
  });
});
