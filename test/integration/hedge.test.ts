// Hedges (contract §3 `hedge-after`): a second attempt beside a slow one, at another endpoint. Pods
// answer when a test lets them, so that who is first is no matter of time; "slow" is a pod that
// has not been let. After each test nothing is left of either attempt.
import { afterEach, describe, expect, test } from 'vitest';
import type {
  ExchangeFacts,
  ExchangeObserver,
  HedgeOutcome,
} from '../../src/dataplane/index.ts';
import { cellTime } from '../../src/dataplane/endpoint-cells.ts';
import { noteFailure } from '../../src/dataplane/outliers.ts';
import { withdrawRetry } from '../../src/dataplane/retry-budget.ts';
import { seededRandom } from '../../src/lib/random.ts';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import {
  connectTo,
  eventually,
  okAnswer,
  RawUpstream,
  request,
} from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { expectNothingLeft } from '../support/nothing-left.ts';

let harness: Harness | undefined;
let upstreams: RawUpstream[] = [];
let clients: Peer[] = [];

afterEach(async () => {
  for (const one of clients) one.socket.destroy();
  if (harness !== undefined) await expectNothingLeft(harness, upstreams);
  clients = [];
  upstreams = [];
});

/** A request as it came to a pod. */
type Arrival = { readonly peer: Peer; readonly pod: number; readonly head: string };

type World = {
  readonly arrived: readonly Arrival[];
  readonly finished: readonly ExchangeFacts[];
  readonly hedges: readonly HedgeOutcome[];
  readonly retries: () => number;
  readonly exhausted: () => number;
};

const soon = { shaping: { hedgeAfterMs: 10 } } as const;
const failing = 'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n';

/** Pods on 127.0.0.2, .3 …, which answer when they are made to. */
async function start(pods: number, rules: Partial<ServiceRules> = soon): Promise<World> {
  const arrived: Arrival[] = [];
  const finished: ExchangeFacts[] = [];
  const hedges: HedgeOutcome[] = [];
  let retries = 0;
  let exhausted = 0;
  for (let pod = 0; pod < pods; pod += 1) {
    const upstream = await RawUpstream.start(`127.0.0.${pod + 2}`);
    upstream.answer = (peer, head) => void arrived.push({ peer, pod, head });
    upstreams.push(upstream);
  }
  const observer: Partial<ExchangeObserver> = {
    exchangeFinished: (facts) => finished.push(facts),
    hedgeEnded: (_, outcome) => hedges.push(outcome),
    retryStarted: () => (retries += 1),
    retryBudgetExhausted: () => (exhausted += 1),
  };
  harness = await startHarness({
    endpoints: upstreams.map((one) => one.endpoint),
    rules,
    observer,
  });
  return { arrived, finished, hedges, retries: () => retries, exhausted: () => exhausted };
}

async function send(text = request('GET /')): Promise<Peer> {
  const client = await connectTo(harness?.port ?? 0);
  clients.push(client);
  return client.send(text);
}

async function arrivals(world: World, count: number): Promise<readonly Arrival[]> {
  await eventually(() => world.arrived.length === count, `${count} requests have arrived`);
  return world.arrived;
}

/** A request of which both attempts are under way. */
async function race(world: World, text?: string) {
  const client = await send(text);
  const [first, second] = await arrivals(world, 2);
  if (first === undefined || second === undefined) throw new Error('nothing arrived');
  return { client, first, second };
}

function offsetOf(pod: number): number {
  const { address, port } = upstreams[pod]?.endpoint ?? { address: '', port: 0 };
  return harness?.slots.offset('endpoint', `${address}:${port}`) ?? 0;
}

/** Longer than a hedge would take to be made. */
async function noMore(world: World, count: number): Promise<void> {
  await new Promise((done) => setTimeout(done, 60));
  expect(world.arrived.length).toBe(count);
}

describe('a request whose answer has not begun', () => {
  test('is sent to another endpoint, whose answer is the one; the slow one is cut', async () => {
    const world = await start(2);
    const { client, first, second } = await race(world);
    expect(second.pod).not.toBe(first.pod);
    expect(second.head).toBe(first.head);
    second.peer.send(okAnswer('second'));
    expect(await client.see('second')).toMatch(/^HTTP\/1\.1 200 /);
    await first.peer.closed();
    expect(first.peer.errorCode).toBeUndefined();
    expect(world.hedges).toEqual(['won']);
    const [facts] = world.finished;
    expect(facts).toMatchObject({ status: 200, attempts: 2, reason: undefined });
    expect(facts?.endpoint?.address).toBe(`127.0.0.${second.pod + 2}`);
    expect(world.retries()).toBe(0);
  });

  test('is answered by the first, if it is first after all; the hedge is cut', async () => {
    const world = await start(2);
    const { client, first, second } = await race(world);
    first.peer.send(okAnswer('first'));
    await client.see('first');
    await second.peer.closed();
    expect(world.hedges).toEqual(['lost']);
    expect(world.finished[0]?.endpoint?.address).toBe(`127.0.0.${first.pod + 2}`);
    // The connection that has served is kept.
    client.clear();
    client.send(request('GET /'));
    const third = (await arrivals(world, 3))[2];
    third?.peer.send(okAnswer('third'));
    await client.see('third');
  });

  test('both answers at once: the client gets one, whole', async () => {
    const world = await start(2);
    const { client, first, second } = await race(world);
    first.peer.send(okAnswer('x'.repeat(5_000)));
    second.peer.send(okAnswer('y'.repeat(5_000)));
    await client.until(() => /x{5000}$|y{5000}$/.test(client.text), 'one whole answer');
    expect(client.text).not.toMatch(/xy|yx/);
    expect(world.hedges).toHaveLength(1);
  });

  test('a HEAD is hedged, too', async () => {
    const world = await start(2);
    const { client, second } = await race(world, request('HEAD /'));
    second.peer.send('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n');
    await client.see('200 OK');
    expect(world.hedges).toEqual(['won']);
  });

  test('has one hedge, however many endpoints there are', async () => {
    const world = await start(4);
    const { client, first } = await race(world);
    await noMore(world, 2);
    first.peer.send(okAnswer('ok'));
    await client.see('200 OK');
  });

  test('a pod that says that it is at work is waited for', async () => {
    const world = await start(2);
    const { client, first, second } = await race(world);
    first.peer.send('HTTP/1.1 103 Early Hints\r\n\r\n');
    await client.see('103 Early Hints');
    await second.peer.closed();
    first.peer.send(okAnswer('first'));
    await client.see('first');
    expect(world.hedges).toEqual(['lost']);
  });

  test('interim answers of the hedge are nobody’s', async () => {
    const world = await start(2);
    const { client, second } = await race(world);
    second.peer.send(`HTTP/1.1 103 Early Hints\r\n\r\n${okAnswer('second')}`);
    expect(await client.see('second')).not.toContain('103');
    expect(world.hedges).toEqual(['won']);
  });
});

describe('one attempt fails', () => {
  test.each([
    ['is reset', (peer: Peer) => peer.reset()],
    ['is closed', (peer: Peer) => peer.end()],
    ['is no HTTP', (peer: Peer) => peer.send('no\r\n\r\n')],
    ['is 503', (peer: Peer) => peer.send(failing)],
    ['is 500 with a body', (peer: Peer) => peer.send(okAnswer('no').replace('200', '500'))],
  ])('the hedge %s: the first goes on', async (_, breakDown) => {
    const world = await start(2);
    const { client, first, second } = await race(world);
    breakDown(second.peer);
    await eventually(() => world.hedges.length > 0, 'the hedge is over');
    first.peer.send(okAnswer('first'));
    await client.see('first');
    expect(world.hedges).toEqual(['failed']);
    expect(world.retries()).toBe(0);
  });

  test.each([
    ['is reset', soon, (peer: Peer) => peer.reset()],
    ['is no HTTP', soon, (peer: Peer) => peer.send('no\r\n\r\n')],
    [
      'is an answer to be tried again',
      { ...soon, retryAttempts: 1, retryOn: ['gateway-error'] } as const,
      (peer: Peer) => peer.send(failing),
    ],
  ])('the first %s: the hedge goes on, and no retry is made', async (_, rules, breakDown) => {
    const world = await start(3, rules);
    const { client, first, second } = await race(world);
    breakDown(first.peer);
    await first.peer.closed();
    await eventually(() => world.hedges.length > 0, 'the hedge leads');
    second.peer.send(okAnswer('second'));
    await client.see('second');
    expect(world.hedges).toEqual(['won']);
    expect(world.retries()).toBe(0);
    expect(world.arrived).toHaveLength(2);
  });

  test('the first is an error that nobody tries again: it is the answer', async () => {
    const world = await start(2);
    const { client, first } = await race(world);
    first.peer.send(failing);
    await client.see('503 No');
    expect(world.hedges).toEqual(['lost']);
  });

  test.each([
    ['first, then hedge', 0, 1],
    ['hedge, then first', 1, 0],
  ])('both fail, %s: a retry goes to neither', async (_, one, other) => {
    const world = await start(3);
    const { client } = await race(world);
    world.arrived[one]?.peer.reset();
    await eventually(() => world.hedges.length > 0, 'one is over');
    world.arrived[other]?.peer.reset();
    const third = (await arrivals(world, 3))[2];
    expect([world.arrived[0]?.pod, world.arrived[1]?.pod]).not.toContain(third?.pod);
    third?.peer.send(okAnswer('third'));
    await client.see('third');
    expect(world.retries()).toBe(1);
    expect(world.finished[0]).toMatchObject({ attempts: 3, status: 200 });
  });
});

describe('no hedge is made', () => {
  const body = 'Content-Length: 2';
  test.each([
    ['for a POST', request('POST /', body) + 'hi'],
    ['for a PUT', request('PUT /', body) + 'hi'],
    ['for a DELETE', request('DELETE /')],
    ['for a GET with a body', request('GET /', body) + 'hi'],
    ['for an upgrade', request('GET /', 'Connection: upgrade', 'Upgrade: websocket')],
  ])('%s', async (_, text) => {
    const world = await start(2);
    const client = await send(text);
    await arrivals(world, 1);
    await noMore(world, 1);
    world.arrived[0]?.peer.send(okAnswer('ok'));
    await client.see('200 OK');
    expect(world.hedges).toEqual([]);
  });

  test('where there is one endpoint only', async () => {
    const world = await start(1);
    const client = await send();
    await arrivals(world, 1);
    await noMore(world, 1);
    world.arrived[0]?.peer.send(okAnswer('ok'));
    await client.see('200 OK');
  });

  test('to an endpoint that is busier', async () => {
    const world = await start(2, { shaping: { hedgeAfterMs: 200 } });
    const client = await send();
    const [first] = await arrivals(world, 1);
    // The other one gets two from another worker.
    const other = offsetOf(1 - (first?.pod ?? 0));
    const counted = [harness?.slots.countUp(other), harness?.slots.countUp(other)];
    await new Promise((done) => setTimeout(done, 260));
    expect(world.arrived).toHaveLength(1);
    first?.peer.send(okAnswer('ok'));
    await client.see('200 OK');
    for (const cell of counted) harness?.slots.countDown(cell ?? 0);
  });

  test('to an endpoint that is ejected', async () => {
    const world = await start(2);
    const cells = harness?.slots.cells.endpoint ?? new Int32Array(0);
    noteFailure({ cells, offset: offsetOf(0), now: cellTime(Date.now()) }, 'refused', () => 0);
    const client = await send();
    await arrivals(world, 1);
    await noMore(world, 1);
    expect(world.arrived[0]?.pod).toBe(1);
    world.arrived[0]?.peer.send(okAnswer('ok'));
    await client.see('200 OK');
  });

  test('beyond the retry budget, and its place is free again', async () => {
    const world = await start(2, { shaping: { hedgeAfterMs: 10, maxRequests: 4 } });
    const budget = {
      cells: harness?.slots.cells.service ?? new Int32Array(0),
      offset: harness?.slots.offset('service', 't/h1') ?? 0,
    };
    while (withdrawRetry(budget, Date.now()));
    const client = await send();
    await eventually(() => world.exhausted() === 1, 'the budget has been asked');
    await noMore(world, 1);
    expect(harness?.inFlight()).toBe(1);
    world.arrived[0]?.peer.send(okAnswer('ok'));
    await client.see('200 OK');
    expect(world.hedges).toEqual([]);
  });

  test.each([
    ['place', { maxRequests: 1 }],
    ['connection', { maxConnections: 1 }],
  ])('where it would have to wait for a %s, and costs nothing', async (_, limit) => {
    const world = await start(2, { shaping: { hedgeAfterMs: 10, ...limit } });
    const budgets = harness?.slots.cells.service.slice();
    const two = [await send(), await send()];
    await arrivals(world, 2);
    await noMore(world, 2);
    expect(harness?.inFlight()).toBe(2);
    expect(harness?.slots.cells.service).toEqual(budgets);
    for (const { peer } of world.arrived) peer.send(okAnswer('ok'));
    for (const one of two) await one.see('200 OK');
    expect(world.hedges).toEqual([]);
  });
});

describe('a hedge ends with its exchange', () => {
  test('when the client leaves', async () => {
    const world = await start(2);
    const { client, first, second } = await race(world);
    client.reset();
    await first.peer.closed();
    await second.peer.closed();
    expect(world.hedges).toEqual(['lost']);
  });

  test('when its total time is over', async () => {
    const world = await start(2, { ...soon, timeoutMs: 100 });
    const { client, first, second } = await race(world);
    await client.see('TimeoutRequest');
    await first.peer.closed();
    await second.peer.closed();
    expect(world.finished[0]).toMatchObject({ status: 504, attempts: 2 });
  });

  test('each attempt has its own time: the hedge goes on when the first has had its', async () => {
    const world = await start(2, { shaping: { hedgeAfterMs: 150 }, perTryTimeoutMs: 200 });
    const { client, first, second } = await race(world);
    await first.peer.closed();
    expect(second.peer.isClosed).toBe(false);
    second.peer.send(okAnswer('second'));
    await client.see('second');
  });

  test('it leads no longer than its own time, which began with it', async () => {
    const rules = { shaping: { hedgeAfterMs: 100 }, perTryTimeoutMs: 200 };
    const world = await start(2, { ...rules, retryAttempts: 0 });
    const { client, first, second } = await race(world);
    await first.peer.closed();
    expect(world.hedges).toEqual(['won']);
    expect(client.text).toBe('');
    await client.see('TimeoutRequest');
    await second.peer.closed();
    expect(world.finished[0]).toMatchObject({ status: 504, attempts: 2 });
  });

  test('nor than the time of the whole, which began with the first', async () => {
    const world = await start(2, { ...soon, timeoutMs: 300 });
    const { client, first, second } = await race(world);
    first.peer.reset();
    await eventually(() => world.hedges.length === 1, 'the hedge leads');
    await client.see('TimeoutRequest');
    await second.peer.closed();
    expect(world.finished[0]).toMatchObject({ status: 504, attempts: 2 });
    expect(world.retries()).toBe(0);
  });

  test('none is made that would come after the end', async () => {
    const world = await start(2, { shaping: { hedgeAfterMs: 150 }, timeoutMs: 50 });
    const client = await send();
    await client.see('TimeoutRequest');
    await new Promise((done) => setTimeout(done, 150));
    expect(world.arrived.length).toBe(1);
    expect(world.hedges).toEqual([]);
  });

  test('it takes a place at its endpoint, and gives it back', async () => {
    const world = await start(2, { shaping: { hedgeAfterMs: 10, maxRequests: 1 } });
    const { client, second } = await race(world);
    expect(harness?.inFlight()).toBe(2);
    second.peer.send(okAnswer('second'));
    await client.see('second');
    await eventually(() => harness?.inFlight() === 0, 'both places are free');
  });
});

test('p95: hedges when a hundred answers have told what slow is', async () => {
  const world = await start(2, { shaping: { hedgeAfterMs: 'p95' } });
  const client = await send();
  for (let n = 1; n <= 100; n += 1) {
    const one = (await arrivals(world, n))[n - 1];
    if (n === 1) await noMore(world, 1);
    client.clear();
    one?.peer.send(okAnswer('ok'));
    await client.see('200 OK');
    if (n < 100) client.send(request('GET /'));
  }
  expect(world.hedges).toEqual([]);
  client.clear();
  client.send(request('GET /'));
  const second = (await arrivals(world, 102))[101];
  second?.peer.send(okAnswer('hedged'));
  await client.see('hedged');
  expect(world.hedges).toEqual(['won']);
});

test('the slow pod among two: all are answered by the order in which answers come', async () => {
  const world = await start(2);
  const slow = upstreams[0];
  const fast = upstreams[1];
  if (slow === undefined || fast === undefined) throw new Error('no pods');
  fast.answer = (peer) => void peer.send(okAnswer('fast'));
  slow.answer = (peer) => void setTimeout(() => peer.send(okAnswer('slow')), 2_000);
  for (let n = 0; n < 40; n += 1) {
    const client = await send();
    // Not one waits for the slow one.
    expect(await client.see('200 OK')).toContain('fast');
  }
  expect(world.hedges).toContain('won');
});

/** What a pod may do with a request, when it is its turn. */
const deeds: readonly ((peer: Peer, id: string) => void)[] = [
  (peer, id) => peer.send(okAnswer(`<${id}>`)),
  (peer, id) => peer.send(okAnswer(`<${id}>`)),
  (peer, id) => peer.send(okAnswer(`<${id}>`).slice(0, 30)),
  (peer, id) => peer.send(`HTTP/1.1 103 Early Hints\r\n\r\n${okAnswer(`<${id}>`)}`),
  (peer, id) => peer.send(okAnswer(`<${id}>`).slice(0, -3)).end(),
  (peer) => peer.send(failing),
  (peer) => peer.reset(),
  (peer) => peer.end(),
  () => undefined,
];

describe('whatever happens to both attempts', () => {
  test.each([1, 2, 3, 4, 5, 6])('an answer is its request’s, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const rules = {
      shaping: { hedgeAfterMs: 1 + Math.floor(random() * 10) },
      timeoutMs: 400,
      retryAttempts: 2,
      retryOn: ['connect-failure', 'reset', 'gateway-error'],
    } as const;
    await start(3, rules);
    for (const upstream of upstreams) {
      upstream.answer = (peer, head) => {
        const id = /^\w+ \/(\S+) /.exec(head)?.[1] ?? '?';
        const deed = deeds[Math.floor(random() * deeds.length)];
        setTimeout(() => deed?.(peer, id), random() * 25);
      };
    }
    const calls = Array.from({ length: 60 }, async (_, n) => {
      const client = await send(request(`GET /r${n}`, 'Connection: close'));
      if (random() < 0.15) setTimeout(() => client.reset(), random() * 40);
      await client.until(() => client.isClosed || client.hasEnded, 'its end');
      const text = client.text.replace(/HTTP\/1\.1 103 [^]*?\r\n\r\n/g, '');
      if (text === '') return;
      expect(text).toMatch(/^HTTP\/1\.1 (200|50[234]) /);
      const body = /^HTTP\/1\.1 200 [^]*?\r\n\r\n([^]*)$/.exec(text)?.[1];
      if (body !== undefined) expect(`<r${n}>`.startsWith(body)).toBe(true);
    });
    await Promise.all(calls);
  });
});
