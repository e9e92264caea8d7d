// The pace at which answered requests are cleared away: whatever the pace at which they are made,
// what is left of them stays within a bound. How it looks on a real API server is
// test/kube/root-rotation.test.ts.
import { expect, test } from 'vitest';
import { FakeRuntime } from '../../../test/kube/support/fake-runtime.ts';
import { connectionOver, type TransportAnswer } from '../../kube/index.ts';
import { silentLog } from '../../telemetry/index.ts';
import { ByteStream } from '../../../test/kube/support/byte-stream.ts';
import type { RequestEntry } from './request-object.ts';
import { RequestSweep } from './request-sweep.ts';

class Swept {
  readonly fake = new FakeRuntime();
  readonly standing = new Set<string>();
  atOnceMax = 0;
  #made = 0;
  #atOnce = 0;
  readonly sweep: RequestSweep;

  constructor() {
    const { runtime } = this.fake;
    const send = async ({ target }: { readonly target: string }): Promise<TransportAnswer> => {
      this.#atOnce += 1;
      this.atOnceMax = Math.max(this.atOnceMax, this.#atOnce);
      await Promise.resolve();
      this.#atOnce -= 1;
      this.standing.delete(target.split('?')[0]?.split('/').at(-1) ?? '');
      const body = new ByteStream();
      body.push('{}');
      body.end();
      return { status: 200, retryAfterMs: undefined, body };
    };
    const transport = { server: 'https://memory', send, close: () => Promise.resolve() };
    this.sweep = new RequestSweep({
      connection: connectionOver(transport, runtime),
      runtime,
      log: silentLog,
      meshNamespace: 'weft-system',
      isLeading: () => true,
      pods: () => new Map(),
      excess: () => [],
      pending: { count: () => 0, all: () => [] },
    });
  }

  issue(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#made += 1;
      const name = `request-${this.#made}`;
      this.standing.add(name);
      const requester = { kind: 'node', name: 'node-1' } as const;
      const entry: RequestEntry = {
        name,
        uid: name,
        createdMs: 0,
        requester,
        pod: undefined,
        state: 'issued',
      };
      this.sweep.settled(entry);
    }
  }
}

test('a few certificates are cleared away a minute after they came', async () => {
  const swept = new Swept();
  swept.issue(15);
  await swept.fake.advance(59_000);
  expect(swept.standing.size).toBe(15);
  await swept.fake.advance(3_000);
  expect(swept.standing.size).toBe(0);
});

test.each([25, 100])('%d a second for ten minutes leave 75 s of them', async (perSecond) => {
  const swept = new Swept();
  for (let second = 0; second < 600; second += 1) {
    swept.issue(perSecond);
    await swept.fake.advance(1_000);
    expect(swept.standing.size).toBeLessThanOrEqual(75 * perSecond);
  }
  expect(swept.atOnceMax).toBeLessThanOrEqual(20);
  await swept.fake.advance(180_000);
  expect(swept.standing.size).toBe(0);
});
