// What the controller's part of identity tells of itself when it may not read what it is made of:
// an image that is newer than its RBAC rules.
import { expect, test } from 'vitest';
import { ByteStream } from '../../../test/kube/support/byte-stream.ts';
import { FakeRuntime } from '../../../test/kube/support/fake-runtime.ts';
import { testKeys } from '../../../test/support/test-authority.ts';
import { meshSettingsOf } from '../../api/index.ts';
import { connectionOver, type TransportAnswer, type TransportRequest } from '../../kube/index.ts';
import { createRegistry } from '../../telemetry/control.ts';
import { silentLog } from '../../telemetry/index.ts';
import { IdentityKeeper } from './keep-identity.ts';

test('what it may not list is told after half a minute, until it may', async () => {
  const clock = new FakeRuntime();
  let mayRead = false;
  let told = 0;
  const send = ({ target, signal }: TransportRequest): Promise<TransportAnswer> => {
    const body = new ByteStream();
    const isWatch = target.includes('watch=true') && mayRead;
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    const metadata = { resourceVersion: '1', annotations };
    const bookmark = { type: 'BOOKMARK', object: { metadata } };
    body.push(isWatch ? `${JSON.stringify(bookmark)}\n` : '{}');
    if (isWatch) signal.addEventListener('abort', () => body.end());
    else body.end();
    return Promise.resolve({ status: mayRead ? 200 : 403, retryAfterMs: undefined, body });
  };
  const transport = { server: 'https://memory', send, close: () => Promise.resolve() };
  const keeper = new IdentityKeeper({
    connection: connectionOver(transport, clock.runtime),
    runtime: clock.runtime,
    log: silentLog,
    keys: testKeys,
    registry: createRegistry({
      clock: clock.runtime.clock,
      component: 'controller',
      version: 'test',
      nodeVersion: 'test',
    }),
    settings: meshSettingsOf(new Map()),
    isLeading: () => false,
    pods: () => new Map(),
    onProblems: () => {
      told += 1;
    },
  });
  await clock.advance(29_000);
  expect(keeper.problems()).toEqual([]);
  await clock.advance(2_000);
  const [problem] = keeper.problems();
  expect(problem).toMatchObject({ kind: 'Secret', reason: 'IdentityUnwatched' });
  expect(problem?.message).toContain('secrets, configmaps, certificatesigningrequests');
  mayRead = true;
  await clock.advance(90_000);
  expect([keeper.problems(), told >= 2]).toEqual([[], true]);
  await keeper.stop();
});
