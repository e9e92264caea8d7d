// An endpoint that asks to be left alone for a while (Retry-After) and whose answer would be tried
// again: others are asked as usual, itself only when that time is over, and the caller is told
// where there is not so much time. In each protocol.
import { afterEach, describe, expect, test } from 'vitest';
import type { PodRequest } from '../support/settings-pod.ts';
import { allProtocols, isWell, SettingsWorld } from '../support/settings-world.ts';
import type { Protocol, Told } from '../support/settings-world.ts';

let world: SettingsWorld;

afterEach(() => world.end());

const retrying = {
  'weft.dev/retry-attempts': '2',
  'weft.dev/retry-on': '503, unavailable',
};

type Case = {
  readonly protocol: Protocol;
  readonly addresses: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of the first answer; all others are good. */
  readonly retryAfter: string;
};

/** A request whose first answer is such; what the caller is told. */
async function ask({ protocol, addresses, annotations, retryAfter }: Case): Promise<Told> {
  world = await SettingsWorld.start(protocol, { addresses });
  expect(world.settle({ onService: { ...retrying, ...annotations } })).toEqual([]);
  let isFirst = true;
  world.answers((request) => {
    if (isFirst) refuse(request, retryAfter);
    else request.ok();
    isFirst = false;
  });
  return world.ask();
}

function refuse(request: PodRequest, retryAfter: string): void {
  const headers = { 'retry-after': retryAfter };
  request.answer(request.isGrpc ? { grpcStatus: 14, headers } : { status: 503, headers });
}

const one = ['127.0.0.2'];
const two = ['127.0.0.2', '127.0.0.3'];

describe.each(allProtocols)('in %s', (protocol) => {
  test('another endpoint is asked without the wait', async () => {
    const told = await ask({ protocol, addresses: two, retryAfter: '3600' });
    expect(isWell(told)).toBe(true);
    expect(world.pods.map(({ requests }) => requests.length)).toEqual([1, 1]);
  });

  test('the only one is asked when the time is over', async () => {
    const began = performance.now();
    const told = await ask({ protocol, addresses: one, retryAfter: '1' });
    expect(isWell(told)).toBe(true);
    expect(world.requests.length).toBe(2);
    expect(performance.now() - began).toBeGreaterThanOrEqual(1_000);
  });

  const tooLong: readonly (readonly [string, string, Readonly<Record<string, string>>])[] = [
    ['a second, where no total time is set,', '2', {}],
    ['the total time', '1', { 'weft.dev/timeout': '1200ms' }],
    ['the idle time', '1', { 'weft.dev/idle-timeout': '900ms' }],
    ['five minutes', '301', { 'weft.dev/idle-timeout': '1h', 'weft.dev/timeout': '1h' }],
  ];
  test.each(tooLong)('a wait over %s is told instead', async (_, retryAfter, annotations) => {
    const told = await ask({ protocol, addresses: one, retryAfter, annotations });
    expect(isWell(told)).toBe(false);
    expect(told.headers['retry-after']).toBe(retryAfter);
    expect(told.headers['weft-reason']).toBeUndefined();
    expect(world.requests.length).toBe(1);
  });

  test('one that is ejected is no other endpoint', async () => {
    world = await SettingsWorld.start(protocol, { addresses: [...two, '127.0.0.4', '127.0.0.5'] });
    const rounds = { 'weft.dev/load-balancer': 'round-robin' };
    world.settle({ onService: rounds });
    const [first, second] = world.pods;
    if (first === undefined || second === undefined) return;
    first.answer = (request) => request.fail();
    second.answer = (request) => request.fail();
    await world.askTimes(60);
    // Two of four are out; of the others, one after the other asks for patience.
    world.settle({ onService: { ...rounds, ...retrying } });
    world.answers((request) => refuse(request, '3600'));
    const before = world.requests.length;
    expect(isWell(await world.ask())).toBe(false);
    expect(world.requests.length - before).toBe(2);
  });
});

test('a date is as good as seconds', async () => {
  const retryAfter = new Date(Date.now() + 3_600_000).toUTCString();
  const told = await ask({ protocol: 'http/1.1', addresses: one, retryAfter });
  expect([told.status, world.requests.length]).toEqual([503, 1]);
  await world.end();
  const over = new Date(Date.now() - 1_000).toUTCString();
  const good = await ask({ protocol: 'http/1.1', addresses: one, retryAfter: over });
  expect([good.status, world.requests.length]).toEqual([200, 2]);
});

test('who leaves while his request waits is forgotten', async () => {
  world = await SettingsWorld.start('http/1.1', { addresses: one });
  world.settle({ onService: retrying });
  const asked = new Promise<void>((done) => {
    world.answers((request) => {
      refuse(request, '60');
      done();
    });
  });
  const call = world.open();
  await asked;
  call.cancel();
  expect((await call.reply).status).toBe(0);
  expect(world.requests.length).toBe(1);
});
