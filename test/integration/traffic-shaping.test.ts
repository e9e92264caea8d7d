// What single settings of a service do beyond being in force (service-settings.test.ts): queues and
// their order, shares by chance, keys of balancing, ejection and coming back, state that outlives
// snapshots. Objects of a cluster in a running data plane, on real sockets, in HTTP/1.1.
import { afterEach, describe, expect, test } from 'vitest';
import type { ExchangeFacts, ExchangeObserver } from '../../src/dataplane/index.ts';
import type { RouteTable } from '../../src/route/index.ts';
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
import { settledMesh } from '../support/settings-mesh.ts';
import type { SettingsMesh } from '../support/settings-mesh.ts';

let harness: Harness | undefined;
let upstreams: RawUpstream[] = [];
let clients: Peer[] = [];
let table: RouteTable | undefined;

afterEach(async () => {
  for (const one of clients) one.socket.destroy();
  const { dataplane } = harness ?? {};
  await eventually(() => dataplane?.state().connections === 0, 'all connections closed');
  expect(dataplane?.state().exchanges).toBe(0);
  expect(dataplane?.state().bufferedBytes).toBe(0);
  expect(harness?.inFlight()).toBe(0);
  expect(harness?.bugs).toEqual([]);
  dataplane?.close();
  for (const upstream of upstreams) upstream.close();
  clients = [];
  upstreams = [];
  table = undefined;
});

async function start(observer: Partial<ExchangeObserver> = {}): Promise<void> {
  for (const address of ['127.0.0.2', '127.0.0.3']) {
    const upstream = await RawUpstream.start(address);
    upstream.answer = (peer) => peer.send(okAnswer(address));
    upstreams.push(upstream);
  }
  const endpoints = upstreams.map((one) => one.endpoint);
  harness = await startHarness({ endpoints, observer });
}

/** Puts the annotations in force; the answer is what is wrong with them. */
function settle(mesh: Omit<SettingsMesh, 'endpoints'>): readonly string[] {
  const endpoints = upstreams.map((one) => one.endpoint);
  const settled = settledMesh({ endpoints, ...mesh }, table);
  table = settled.table;
  harness?.dataplane.publish(table);
  return settled.problems.map(({ reason }) => reason);
}

async function client(): Promise<Peer> {
  const peer = await connectTo(harness?.port ?? 0);
  clients.push(peer);
  return peer;
}

/** One GET; all of its answer. */
async function ask(...lines: string[]): Promise<string> {
  const peer = await client();
  peer.send(request('GET /', ...lines));
  await peer.see('\r\n\r\n');
  return peer.text;
}

async function statuses(count: number): Promise<readonly string[]> {
  const seen: string[] = [];
  for (let n = 0; n < count; n += 1) seen.push((await ask()).slice(9, 12));
  return seen;
}

test('a service that asks for nothing of all this carries nothing of it', async () => {
  const finished: ExchangeFacts[] = [];
  await start({ exchangeFinished: (facts) => finished.push(facts) });
  expect(settle({})).toEqual([]);
  await ask();
  expect(finished[0]?.host?.rules.shaping).toBeUndefined();
  expect(finished[0]).toMatchObject({ ticket: undefined, retryAfterS: undefined });
});

describe('max-requests', () => {
  test('who waits is served in order when a place is free', async () => {
    await start();
    settle({ onService: { 'weft.dev/max-requests': '1' } });
    const arrived: { readonly peer: Peer; readonly path: string }[] = [];
    for (const upstream of upstreams) {
      upstream.answer = (peer, head) => {
        arrived.push({ peer, path: head.slice(5, 6) });
      };
    }
    const clients: Peer[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const one = await client();
      one.send(request(`GET /${name}`));
      clients.push(one);
      const counted = clients.length;
      await eventually(() => harness?.dataplane.state().exchanges === counted, 'it has come');
    }
    for (let n = 0; n < 5; n += 1) {
      await eventually(() => arrived.length > n, `request ${n} has arrived`);
      expect(harness?.inFlight()).toBeLessThanOrEqual(2);
      arrived[n]?.peer.send(okAnswer('ok'));
    }
    for (const one of clients) await one.see('200 OK');
    // Each of the two lines in its order.
    const told = arrived.map(({ path }) => path).join('');
    expect(told.indexOf('c')).toBeLessThan(told.indexOf('e'));
  });

  test('who finds no place within a second is told so', async () => {
    await start();
    settle({ onService: { 'weft.dev/max-requests': '1' } });
    const arrived: Peer[] = [];
    for (const upstream of upstreams) upstream.answer = (peer) => arrived.push(peer);
    const three = [await client(), await client(), await client()];
    for (const one of three) one.send(request('GET /'));
    await eventually(() => three.some(({ text }) => text !== ''), 'the third is told');
    const told = three.map(({ text }) => text).join('');
    expect(told).toMatch(/^HTTP\/1\.1 503 [^]*weft-reason: Overloaded\r\n/);
    for (const peer of arrived) peer.send(okAnswer('late'));
    for (const one of three) await one.see('\r\n\r\n');
    expect(arrived.length).toBe(2);
  });

  test('a client that leaves the line is forgotten', async () => {
    await start();
    settle({ onService: { 'weft.dev/max-requests': '1' } });
    const arrived: Peer[] = [];
    for (const upstream of upstreams) upstream.answer = (peer) => arrived.push(peer);
    const three = [await client(), await client(), await client()];
    for (const one of three) one.send(request('GET /'));
    await eventually(() => harness?.dataplane.state().exchanges === 3, 'all have come');
    await eventually(() => arrived.length === 2, 'two have arrived');
    const served = three.filter((one) => one.text === '');
    for (const one of served) one.socket.destroy();
    await eventually(() => harness?.dataplane.state().exchanges === 0, 'all are gone');
    expect(arrived.length).toBe(2);
  });
});

describe('fault', () => {
  test('aborts and delays its share, by chance', async () => {
    await start();
    settle({ onService: { 'weft.dev/fault': 'abort=503@50%' } });
    const seen = await statuses(60);
    expect(seen.filter((one) => one === '503').length).toBeGreaterThan(10);
    expect(seen.filter((one) => one === '200').length).toBeGreaterThan(10);
  });

  test('a delay holds a request up, not its answer', async () => {
    await start();
    settle({ onService: { 'weft.dev/fault': 'delay=200ms@100%' } });
    const began = performance.now();
    expect((await ask()).slice(9, 12)).toBe('200');
    expect(performance.now() - began).toBeGreaterThanOrEqual(199);
  });
});

describe('balancing', () => {
  const hashes: readonly (readonly [string, readonly string[]])[] = [
    ['hash:header=x-user', ['x-user: 7']],
    ['hash:cookie=sid', ['cookie: a=1; sid=abc']],
    ['hash:source', []],
  ];
  test.each(hashes)('%s keeps a caller at one endpoint', async (value, lines) => {
    await start();
    settle({ onService: { 'weft.dev/load-balancer': value } });
    const seen = new Set<string>();
    for (let n = 0; n < 10; n += 1) seen.add((await ask(...lines)).slice(-9));
    expect(seen.size).toBe(1);
  });

  test('a request without the field goes anywhere', async () => {
    await start();
    settle({ onService: { 'weft.dev/load-balancer': 'hash:header=x-user' } });
    const seen = new Set<string>();
    for (let n = 0; n < 30; n += 1) seen.add((await ask()).slice(-9));
    expect(seen.size).toBe(2);
  });
});

describe('ejection', () => {
  const failing = 'HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n';

  test('an endpoint that fails is left alone, tried by one request, and taken back', async () => {
    await start();
    settle({ onService: { 'weft.dev/load-balancer': 'round-robin' } });
    const [first] = upstreams;
    if (first === undefined) return;
    let asked = 0;
    let isWell = false;
    first.answer = (peer) => {
      asked += 1;
      peer.send(isWell ? okAnswer('127.0.0.2') : failing);
    };
    // The fifth attempt in 10 s is the first that the ratio is looked at.
    expect((await statuses(20)).filter((one) => one === '500').length).toBe(5);
    expect(asked).toBe(5);
    isWell = true;
    const patient = await client();
    do {
      patient.clear();
      patient.send(request('GET /'));
      await patient.see('127.0.0.');
    } while (!patient.text.endsWith('127.0.0.2'));
    const seen: string[] = [];
    for (let n = 0; n < 4; n += 1) seen.push((await ask()).slice(-9));
    expect(seen.filter((one) => one === '127.0.0.2').length).toBe(2);
  });

  test('where more than half fail, all serve', async () => {
    await start();
    for (const upstream of upstreams) upstream.answer = (peer) => peer.send(failing);
    await statuses(30);
    for (const upstream of upstreams) upstream.answer = (peer) => peer.send(okAnswer('well'));
    expect(await statuses(4)).toEqual(['200', '200', '200', '200']);
  });
});

describe('rate limits', () => {
  test('the refusal says when to ask again, and in gRPC-free words why', async () => {
    await start();
    settle({ onService: { 'weft.dev/rate-limit-average': '0.1' } });
    await ask();
    const text = await ask();
    expect(text).toMatch(/^HTTP\/1\.1 429 Too Many Requests\r\n/);
    expect(text).toContain('weft-reason: RateLimited\r\n');
    expect(text).toMatch(/retry-after: (?:9|10)\r\n/);
  });

  test('a bucket outlives snapshots that do not concern it', async () => {
    await start();
    const onService = { 'weft.dev/rate-limit-average': '0.1' };
    settle({ onService });
    await ask();
    settle({ onService, onNamespace: { 'weft.dev/timeout': '5s' } });
    expect((await ask()).slice(9, 12)).toBe('429');
  });
});
