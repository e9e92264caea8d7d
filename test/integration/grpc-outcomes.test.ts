// What a pod says of a call of gRPC counts as what a status of HTTP does: ejection, balancing and
// breakers take it from trailers as from trailers-only answers, from pods of HTTP/2 and of
// HTTP/1.1, here and behind a tunnel. What a caller's own deadline brings about counts for nobody.
import { afterEach, describe, expect, test } from 'vitest';
import type { AttemptFacts } from '../../src/dataplane/index.ts';
import { eventually } from '../support/dataplane-sockets.ts';
import { Http2Caller } from '../support/http2-client.ts';
import { SettingsPod } from '../support/settings-pod.ts';
import type { PodRequest } from '../support/settings-pod.ts';
import { isRefused, isWell, SettingsWorld } from '../support/settings-world.ts';
import { clientPod, nodeAddress, serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';

let world: SettingsWorld | undefined;
let mesh: TunnelMesh | undefined;
let callers: Http2Caller[] = [];
let pods: SettingsPod[] = [];

afterEach(async () => {
  await world?.end();
  world = undefined;
  for (const one of callers) one.session.destroy();
  for (const node of mesh === undefined ? [] : [mesh.a, mesh.b]) {
    await eventually(() => node.dataplane.state().exchanges === 0, 'all exchanges ended');
    expect(node.bugs).toEqual([]);
  }
  mesh?.close();
  for (const pod of pods) pod.close();
  callers = [];
  pods = [];
  mesh = undefined;
});

const rounds = { 'weft.dev/load-balancer': 'round-robin' };

type Counted = { readonly ejected: unknown[]; readonly attempts: AttemptFacts[] };

async function start(annotations = {}): Promise<{ world: SettingsWorld } & Counted> {
  const ejected: unknown[] = [];
  const attempts: AttemptFacts[] = [];
  const observer = {
    endpointEjected: (facts: unknown) => ejected.push(facts),
    attemptFinished: (_: unknown, attempt: AttemptFacts) => attempts.push(attempt),
  };
  world = await SettingsWorld.start('grpc', { observer });
  expect(world.settle({ onService: { ...rounds, ...annotations } })).toEqual([]);
  return { world, ejected, attempts };
}

/** A head and a message, and the status behind them. */
function trailing(request: PodRequest, grpcStatus: number | undefined): void {
  request.begin('message');
  request.finish(grpcStatus);
}

const failures = [2, 4, 13, 14, 15];
const ways: readonly (readonly [string, (request: PodRequest, status: number) => void])[] = [
  ['trailers-only', (request, grpcStatus) => request.answer({ grpcStatus })],
  ['trailing', trailing],
];

describe.each(['kubernetes.io/h2c', undefined])('pods whose port says %s', (appProtocol) => {
  describe.each(ways)('%s', (_, fail) => {
    test.each(failures)('grpc-status %d is a failure of the pod', async (status) => {
      const { world, ejected, attempts } = await start();
      world.settle({ onService: rounds, appProtocol });
      const [first] = world.pods;
      if (first !== undefined) first.answer = (request) => fail(request, status);
      const told = await world.askTimes(20);
      // The fifth attempt in 10 s is the first that the ratio is looked at.
      expect(told.filter(({ grpcStatus }) => grpcStatus === status).length).toBe(5);
      expect(ejected.length).toBe(1);
      expect(attempts.map(({ grpcStatus }) => grpcStatus).sort()).toEqual(
        [...new Array<number>(15).fill(0), ...new Array<number>(5).fill(status)].sort(),
      );
    });

    test.each([1, 3, 5, 7, 12, 16])('grpc-status %d is an answer', async (status) => {
      const { world, ejected } = await start();
      world.settle({ onService: rounds, appProtocol });
      world.answers((request) => fail(request, status));
      const told = await world.askTimes(20);
      expect(told.every(({ grpcStatus }) => grpcStatus === status)).toBe(true);
      expect(ejected).toEqual([]);
    });
  });
});

// 40 successes and 7 failures of each pod: the ratio is still good.
test.each([
  [8, false],
  [13, true],
])('grpc-status %d 7 times in a row: %s', async (status, isEjecting) => {
  const { world, ejected } = await start();
  await world.askTimes(80);
  world.answers((request) => request.answer({ grpcStatus: status }));
  await world.askTimes(14);
  expect(ejected.length > 0).toBe(isEjecting);
});

test('8 counts in the ratio, as 429 does', async () => {
  const { world, ejected } = await start();
  world.answers((request) => request.answer({ grpcStatus: 8 }));
  await world.askTimes(10);
  expect(ejected.length).toBeGreaterThan(0);
});

test('an answer without a status has failed', async () => {
  const { world, ejected } = await start();
  const [first] = world.pods;
  if (first !== undefined) first.answer = (request) => trailing(request, undefined);
  await world.askTimes(20);
  expect(ejected.length).toBe(1);
});

test('an endpoint whose calls fail in their trailers is slow for balancing', async () => {
  const { world } = await start({ 'weft.dev/outlier-detection': 'off' });
  world.settle({ onService: { 'weft.dev/outlier-detection': 'off' } });
  const [first] = world.pods;
  if (first !== undefined) first.answer = (request) => trailing(request, 13);
  const told = await world.askTimes(30);
  // Once it has answered so, the other one is quicker by far.
  expect(told.filter((one) => !isWell(one)).length).toBeLessThanOrEqual(2);
});

test('streams that fall silent after their first message say nothing of their pods', async () => {
  const quiet = {
    'weft.dev/idle-timeout': '300ms',
    'weft.dev/circuit-breaker': 'NetworkErrorRatio() > 0.3',
  };
  const { world, ejected } = await start(quiet);
  world.answers((request) => request.begin('hello'));
  await Promise.all(Array.from({ length: 20 }, () => world.ask()));
  expect(ejected).toEqual([]);
  world.lookAtBreakers();
  world.answers((request) => request.ok());
  expect(isWell(await world.ask())).toBe(true);
});

test('who is on probation is in again when a stream begins', async () => {
  const { world } = await start();
  const [first] = world.pods;
  if (first === undefined) return;
  first.answer = (request) => request.answer({ grpcStatus: 14 });
  await world.askTimes(20);
  const asked = first.requests.length;
  const streams: PodRequest[] = [];
  first.answer = (request) => {
    streams.push(request);
    request.begin('first message');
  };
  // Each second one goes there, though none of them ends.
  const isBack = (): boolean => first.requests.length > asked + 1;
  while (!isBack()) {
    const call = world.open();
    const before = world.requests.length;
    await eventually(() => world.requests.length > before, 'it has arrived');
    void call.reply;
  }
  for (const one of streams) one.finish(0);
});

describe('deadlines', () => {
  const impatient = { headers: { 'grpc-timeout': '60m' } };

  test('a pod that resets a call when the time of its caller is up has not failed', async () => {
    const breaker = { 'weft.dev/circuit-breaker': 'NetworkErrorRatio() > 0.1' };
    const { world, ejected, attempts } = await start(breaker);
    world.answers((request) => void setTimeout(() => request.reset(8), 1_900));
    const patient = { headers: { 'grpc-timeout': '2000m' } };
    await Promise.all(Array.from({ length: 24 }, () => world.ask(patient)));
    expect(attempts.every((one) => one.reason === 'UpstreamReset' && one.saysNothing)).toBe(true);
    expect(ejected).toEqual([]);
    world.lookAtBreakers();
    world.answers((request) => request.ok());
    expect(isWell(await world.ask())).toBe(true);
  });

  test('a pod that swallows the calls of impatient callers is ejected', async () => {
    const { world, ejected } = await start();
    await world.askTimes(10);
    const [first] = world.pods;
    if (first !== undefined) first.answer = () => undefined;
    // What went well in the second before it began to be silent still speaks for it.
    await eventually(() => Date.now() % 1_000 < 100, 'another second begins');
    const told = await world.askTimes(60, { headers: { 'grpc-timeout': '150m' } });
    expect(ejected.length).toBeGreaterThan(0);
    expect(told.filter((one) => !isWell(one)).length).toBeLessThan(20);
  });

  test('one whose other callers are answered meanwhile is not', async () => {
    const { world, ejected } = await start();
    world.answers((request) => {
      if (request.path !== '/slow') request.ok();
    });
    const slow = { path: '/slow', headers: { 'grpc-timeout': '150m' } };
    for (let turn = 0; turn < 5; turn += 1) {
      const calls = [world.ask(slow), world.ask(slow), world.askTimes(4)];
      await Promise.all(calls);
    }
    expect(ejected).toEqual([]);
  });

  test('a pod that tells a caller of his own deadline has not failed', async () => {
    const { world, ejected, attempts } = await start({
      'weft.dev/circuit-breaker': 'ResponseCodeRatio(500, 600, 0, 600) > 0.1',
    });
    world.answers((request) => void setTimeout(() => request.answer({ grpcStatus: 4 }), 50));
    const told = await Promise.all(Array.from({ length: 24 }, () => world.ask(impatient)));
    expect(told.every(({ grpcStatus }) => grpcStatus === 4)).toBe(true);
    expect(attempts.every((one) => one.saysNothing || one.isCancelled)).toBe(true);
    expect(ejected).toEqual([]);
    world.lookAtBreakers();
    world.answers((request) => request.ok());
    expect(isWell(await world.ask())).toBe(true);
  });

  test('one that says so long before has', async () => {
    const { world, ejected } = await start();
    const [first] = world.pods;
    if (first !== undefined) first.answer = (request) => request.answer({ grpcStatus: 4 });
    await world.askTimes(20, { headers: { 'grpc-timeout': '1H' } });
    expect(ejected.length).toBe(1);
  });
});

describe('breakers', () => {
  /** 14 is 503, and so on: the pairs of the contract. */
  const cases: readonly (readonly [number, string, boolean])[] = [
    [14, 'ResponseCodeRatio(503, 504, 0, 600) > 0.5', true],
    [13, 'ResponseCodeRatio(500, 501, 0, 600) > 0.5', true],
    [8, 'ResponseCodeRatio(429, 430, 0, 600) > 0.5', true],
    [12, 'ResponseCodeRatio(500, 600, 0, 600) > 0.5', false],
    [5, 'ResponseCodeRatio(404, 405, 0, 600) > 0.5', true],
    // An answer has come: no error of the network.
    [14, 'NetworkErrorRatio() > 0.1', false],
  ];
  test.each(cases)('grpc-status %d and %s', async (status, expression, opens) => {
    const { world } = await start({
      'weft.dev/circuit-breaker': expression,
      'weft.dev/outlier-detection': 'off',
    });
    world.answers((request, nth) => {
      if (nth % 2 === 0) request.answer({ grpcStatus: status });
      else trailing(request, status);
    });
    await world.askTimes(12);
    world.lookAtBreakers();
    expect(isRefused(await world.ask(), 'CircuitOpen')).toBe(opens);
  });

  test('a call that is cut off is an error of the network', async () => {
    const { world } = await start({
      'weft.dev/circuit-breaker': 'NetworkErrorRatio() > 0.9',
      'weft.dev/outlier-detection': 'off',
    });
    world.answers((request) => {
      request.begin('half a message');
      setImmediate(() => request.cut());
    });
    await world.askTimes(12);
    world.lookAtBreakers();
    expect(isRefused(await world.ask(), 'CircuitOpen')).toBe(true);
  });
});

test.each(ways)('behind a tunnel, where the answer is %s', async (_, fail) => {
  pods = await Promise.all([
    SettingsPod.start(serverPod.address, []),
    SettingsPod.start('127.0.2.2', []),
  ]);
  const other = { address: '127.0.2.2', account: 't/server', node: 'node-b' } as const;
  const ejected: string[] = [];
  const named = (name: string) => ({
    observer: { endpointEjected: () => ejected.push(name) },
  });
  const world = {
    endpoints: pods.map(({ endpoint }) => ({ ...endpoint, node: 'node-b' })),
    pods: [clientPod, serverPod, other],
    scheme: 'h2c',
  } as const;
  mesh = await TunnelMesh.start(world, named('a'), named('b'));
  const slots = pods.map(({ endpoint: { address, port } }, index) => {
    return ['endpoint', `${address}:${port}`, index + 1] as const;
  });
  for (const node of [mesh.a, mesh.b]) node.slots.apply({ set: slots, freed: [] });
  for (const pod of pods) pod.answer = (request) => fail(request, 13);
  const way = { host: nodeAddress['node-a'], localAddress: clientPod.address };
  const caller = new Http2Caller(mesh.a.port, {}, way);
  callers.push(caller);
  for (let n = 0; n < 14; n += 1) {
    const call = caller.open({
      ':method': 'POST',
      ':path': '/a.B/C',
      'content-type': 'application/grpc',
    });
    const { headers, trailers } = await call.end('message').reply;
    expect(trailers['grpc-status'] ?? headers['grpc-status']).toBe('13');
  }
  // Both know: the caller's proxy, which chooses, and the pods' own.
  expect(new Set(ejected)).toEqual(new Set(['a', 'b']));
});
