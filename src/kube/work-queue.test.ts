// The work queue: level-based, one key at a time, failures on their own clock.
// Time is moved by the test; nothing here talks to a server.
import { describe, expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { silentLog } from '../telemetry/index.ts';
import { KubeFailure } from './client.ts';
import { startWorkQueue } from './work-queue.ts';

type Attempt = { readonly key: string; readonly atMs: number };

function queueWith(
  reconcile: (key: string, count: number) => Promise<{ againAfterMs: number } | undefined>,
  concurrency = 2,
) {
  const fake = new FakeRuntime(3);
  const attempts: Attempt[] = [];
  const queue = startWorkQueue({
    runtime: fake.runtime,
    log: silentLog,
    concurrency,
    reconcile: (key) => {
      attempts.push({ key, atMs: fake.nowMs });
      return reconcile(key, attempts.filter((attempt) => attempt.key === key).length);
    },
  });
  return { fake, queue, attempts };
}

function gate() {
  const open: (() => void)[] = [];
  return {
    pass: () => new Promise<undefined>((resolve) => open.push(() => resolve(undefined))),
    openAll: () => {
      for (const each of open.splice(0)) each();
    },
  };
}

describe('a work queue', () => {
  test('works once on a key that was added many times before its turn', async () => {
    const { pass, openAll } = gate();
    const { fake, queue, attempts } = queueWith(pass, 1);
    queue.add('a');
    for (let at = 0; at < 5; at += 1) queue.add('b');
    await fake.advance(0);
    openAll();
    await fake.advance(0);
    openAll();
    await fake.advance(0);
    expect(attempts.map((attempt) => attempt.key)).toEqual(['a', 'b']);
  });

  test('works again on a key that was added during its work, after that work', async () => {
    const { pass, openAll } = gate();
    const { fake, queue, attempts } = queueWith(pass, 4);
    queue.add('a');
    await fake.advance(0);
    queue.add('a');
    await fake.advance(0);
    expect(attempts).toHaveLength(1);
    openAll();
    await fake.advance(0);
    expect(attempts).toHaveLength(2);
    openAll();
    await queue.stop();
  });

  test('comes back to a key that failed, later each time, while others go on', async () => {
    const { fake, queue, attempts } = queueWith((key, count) =>
      key === 'bad' && count <= 4
        ? Promise.reject(new Error('conflict'))
        : Promise.resolve(undefined),
    );
    queue.add('bad');
    queue.add('good');
    await fake.advance(60_000);
    expect(attempts.filter((attempt) => attempt.key === 'good')).toHaveLength(1);
    const bad = attempts.filter((attempt) => attempt.key === 'bad').map((each) => each.atMs);
    expect(bad).toHaveLength(5);
    expect(bad.at(-1)).toBeGreaterThan(1_000);
    expect(fake.timerCount).toBe(0);
  });

  test('waits as long as the server asks', async () => {
    const { fake, queue, attempts } = queueWith((_, count) =>
      count === 1
        ? Promise.reject(new KubeFailure('TooManyRequests', 'busy', { retryAfterMs: 7_000 }))
        : Promise.resolve(undefined),
    );
    queue.add('a');
    await fake.advance(60_000);
    expect(attempts.map((attempt) => attempt.atMs)).toEqual([0, 7_000]);
  });

  test('looks again when it was told to', async () => {
    const { fake, queue, attempts } = queueWith(() => Promise.resolve({ againAfterMs: 1_000 }));
    queue.add('a');
    await fake.advance(3_500);
    expect(attempts.map((attempt) => attempt.atMs)).toEqual([0, 1_000, 2_000, 3_000]);
    await queue.stop();
    expect(fake.timerCount).toBe(0);
  });

  test('lets the running work end when it stops, and starts nothing more', async () => {
    const { pass, openAll } = gate();
    const { fake, queue, attempts } = queueWith(pass, 1);
    queue.add('a');
    queue.add('b');
    await fake.advance(0);
    let isStopped = false;
    const stopped = queue.stop().then(() => {
      isStopped = true;
    });
    await fake.advance(0);
    expect(isStopped).toBe(false);
    openAll();
    await stopped;
    queue.add('c');
    await fake.advance(1_000);
    expect(attempts).toHaveLength(1);
  });
});
