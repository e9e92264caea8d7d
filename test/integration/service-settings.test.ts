// Every setting of a service that shapes its traffic (contract §3), as objects of a cluster in a
// running data plane on real sockets: on the Service, as the Namespace's default, in each other
// spelling, with a value that cannot be read, and removed again. What a setting does in detail is
// in the tests of its own part; here it is seen to be in force, or not.
import { afterEach, describe, expect, test } from 'vitest';
import { settingTable } from '../../src/api/index.ts';
import type { ExchangeFacts, ExchangeObserver } from '../../src/dataplane/index.ts';
import { Breakers } from '../../src/proxy/breakers.ts';
import type { RouteTable } from '../../src/route/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { startHarness, testRuntime } from '../support/dataplane-harness.ts';
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
import type { Annotations, SettingsMesh } from '../support/settings-mesh.ts';

let harness: Harness | undefined;
let upstreams: RawUpstream[] = [];
let clients: Peer[] = [];
let table: RouteTable | undefined;
let breakers: Breakers | undefined;

afterEach(async () => {
  breakers?.close();
  breakers = undefined;
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
  // The control thread's part; it looks when a test says so.
  breakers ??= new Breakers({
    ...testRuntime,
    timers: { after: () => ({ cancel: () => undefined }) },
    log: silentLog,
    cellsOf: (key) => harness?.slots.breaker(key),
  });
  breakers.follow({ version: '', sections: table.sections, runs: new Map() });
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

type Row = {
  readonly setting: keyof typeof settingTable;
  readonly value: string;
  readonly bad: string;
  /** What has to stand beside it. */
  readonly beside?: Annotations;
  readonly isInForce: () => Promise<boolean>;
};

const rows: readonly Row[] = [
  {
    setting: 'rateLimitAverage',
    value: '1',
    bad: '0',
    isInForce: async () => (await statuses(2)).includes('429'),
  },
  {
    setting: 'rateLimitBurst',
    value: '3',
    bad: 'many',
    beside: { 'weft.dev/rate-limit-average': '0.5' },
    isInForce: async () => (await statuses(5)).join(' ') === '200 200 200 429 429',
  },
  {
    setting: 'loadBalancer',
    value: 'round-robin',
    bad: 'fairest',
    // Strict turns; by chance alone once in two thousand.
    isInForce: async () => {
      const seen: string[] = [];
      for (let n = 0; n < 12; n += 1) seen.push((await ask()).slice(-9));
      return seen.every((one, at) => at === 0 || one !== seen[at - 1]);
    },
  },
  {
    setting: 'outlierDetection',
    value: 'off',
    bad: 'maybe',
    beside: { 'weft.dev/load-balancer': 'round-robin' },
    // 127.0.0.2 fails all the time, and goes on getting its turns.
    isInForce: async () => {
      const first = upstreams[0];
      if (first === undefined) return false;
      first.answer = (peer) => peer.send('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n');
      return (await statuses(30)).filter((one) => one === '500').length === 15;
    },
  },
  {
    setting: 'traffic',
    value: 'stop',
    bad: 'halt',
    isInForce: async () => (await ask()).includes('weft-reason: Stopped'),
  },
  {
    setting: 'maxRequestBodyBytes',
    value: '4',
    bad: 'little',
    isInForce: async () => (await ask('Content-Length: 5')).startsWith('HTTP/1.1 413'),
  },
  {
    setting: 'circuitBreaker',
    value: 'ResponseCodeRatio(500, 600, 0, 600) > 0.5',
    bad: 'ResponseCodeRatio(500) > 0.5',
    beside: { 'weft.dev/outlier-detection': 'off' },
    isInForce: async () => {
      const failing = 'HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n';
      for (const upstream of upstreams) upstream.answer = (peer) => peer.send(failing);
      await statuses(10);
      breakers?.look();
      const text = await ask();
      return text.includes('CircuitOpen') && /retry-after: (?:9|10)\r\n/.test(text);
    },
  },
  {
    setting: 'fault',
    value: 'abort=418@100%',
    bad: 'abort=9@1%',
    isInForce: async () => (await ask()).includes('weft-reason: FaultInjected'),
  },
  {
    setting: 'maxRequests',
    value: '1',
    bad: '-1',
    // Two endpoints that take their time: the third request arrives, or waits in vain.
    isInForce: async () => {
      const arrived: Peer[] = [];
      for (const upstream of upstreams) upstream.answer = (peer) => arrived.push(peer);
      const three = [await client(), await client(), await client()];
      for (const one of three) one.send(request('GET /'));
      const isRefused = (): boolean => three.some((one) => one.text.includes('Overloaded'));
      await eventually(() => arrived.length === 3 || isRefused(), 'the third is settled');
      for (const peer of arrived) peer.send(okAnswer('late'));
      for (const one of three) await one.see('\r\n\r\n');
      return isRefused() && arrived.length === 2;
    },
  },
];

describe.each(rows)('$setting', ({ setting, value, bad, beside = {}, isInForce }) => {
  const [first, ...others] = settingTable[setting].spellings.map((spelling) => spelling.key);
  const key = first ?? '';

  test('holds where it stands on the Service', async () => {
    await start();
    expect(settle({ onService: { ...beside, [key]: value } })).toEqual([]);
    expect(await isInForce()).toBe(true);
  });

  test('holds where it stands on the Namespace alone', async () => {
    await start();
    expect(settle({ onService: beside, onNamespace: { [key]: value } })).toEqual([]);
    expect(await isInForce()).toBe(true);
  });

  test.each(others)('holds as %s', async (alias) => {
    await start();
    expect(settle({ onService: { ...beside, [alias]: value } })).toEqual([]);
    expect(await isInForce()).toBe(true);
  });

  test('is absent, and a problem, where its value cannot be read', async () => {
    await start();
    expect(settle({ onService: { ...beside, [key]: bad } })).toEqual(['InvalidSetting']);
    expect(await isInForce()).toBe(false);
  });

  test('ends when it is removed', async () => {
    await start();
    settle({ onService: { ...beside, [key]: value } });
    await ask();
    settle({ onService: beside });
    expect(await isInForce()).toBe(false);
  });
});

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
