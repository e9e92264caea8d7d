// Faults on purpose (`weft.dev/fault`) in each protocol: what a client is told, what is counted,
// and that a fault takes no more of a request than it says.
import { afterEach, describe, expect, test } from 'vitest';
import type { ExchangeFacts } from '../../src/dataplane/index.ts';
import { allProtocols, isRefused, isWell, SettingsWorld } from '../support/settings-world.ts';
import type { Protocol } from '../support/settings-world.ts';

let world: SettingsWorld;
let faults: string[] = [];
let finished: ExchangeFacts[] = [];

async function start(protocol: Protocol, fault: string, more = {}): Promise<void> {
  faults = [];
  finished = [];
  world = await SettingsWorld.start(protocol, {
    observer: {
      faultInjected: ({ host }, kind) => faults.push(`${host?.service} ${kind}`),
      exchangeFinished: (facts) => finished.push(facts),
    },
  });
  expect(world.settle({ onService: { 'weft.dev/fault': fault, ...more } })).toEqual([]);
}

afterEach(() => world.end());

describe.each(allProtocols)('in %s', (protocol) => {
  test.each([
    [503, 14],
    [429, 8],
    [504, 4],
    [403, 7],
    [499, 2],
  ])('an abort with %d is told, and counted as what it is', async (status, grpcStatus) => {
    await start(protocol, `abort=${status}@100%`);
    const told = await world.ask();
    const isGrpc = protocol === 'grpc';
    expect(told.status).toBe(isGrpc ? 200 : status);
    expect(told.grpcStatus).toBe(isGrpc ? grpcStatus : undefined);
    expect(told.headers['weft-reason']).toBe('FaultInjected');
    expect(faults).toEqual(['h1 abort']);
    expect(finished[0]).toMatchObject({ reason: 'FaultInjected', attempts: 0 });
    expect(finished[0]?.answer.grpcStatus).toBe(isGrpc ? grpcStatus : undefined);
    expect(world.requests).toEqual([]);
  });

  test('a delay holds the request up, and nothing else', async () => {
    await start(protocol, 'delay=100ms@100%');
    const began = performance.now();
    const told = await world.ask({ method: 'POST', body: 'x'.repeat(200_000) });
    expect(isWell(told)).toBe(true);
    expect(performance.now() - began).toBeGreaterThanOrEqual(99);
    expect(faults).toEqual(['h1 delay']);
    expect(finished[0]).toMatchObject({ reason: undefined, attempts: 1, requestBytes: 200_000 });
  });

  test('a delay that is longer than the time-out ends with it', async () => {
    await start(protocol, 'delay=10s@100%', { 'weft.dev/timeout': '80ms' });
    expect(isRefused(await world.ask(), 'TimeoutRequest')).toBe(true);
    expect(world.requests).toEqual([]);
  });

  test('who leaves while he is held up leaves nothing', async () => {
    await start(protocol, 'delay=10s@100%');
    const call = world.open();
    await expect.poll(() => faults.length).toBe(1);
    call.cancel();
    await expect.poll(() => finished.length).toBe(1);
    expect(world.requests).toEqual([]);
  });

  test('shares are by chance, each for itself', async () => {
    await start(protocol, 'abort=500@30%, delay=1ms@30%');
    const told = await world.askTimes(100);
    const refused = told.filter((one) => one.headers['weft-reason'] === 'FaultInjected').length;
    expect(told.filter(isWell).length).toBe(100 - refused);
    // Five standard deviations; the seed is fixed.
    expect(refused).toBeGreaterThan(7);
    expect(refused).toBeLessThan(53);
    expect(faults.filter((one) => one === 'h1 abort').length).toBe(refused);
    expect(faults.length).toBeGreaterThan(refused);
  });
});

test.each(['http/1.1', 'http/2'] as const)(
  'a status without a body has none (%s)',
  async (protocol) => {
    await start(protocol, 'abort=204@100%');
    const told = await world.ask();
    expect(told).toMatchObject({ status: 204, body: '' });
    expect(told.headers['content-length']).toBeUndefined();
  },
);
