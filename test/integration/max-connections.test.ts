// `max-connections` on real sockets, counted where it is promised: at the pod. Never one more than
// may be, all of them used, and who waits gets the next – over HTTP/1.1, HTTP/2 and upgraded
// connections, and over two workers that share their live numbers.
import { afterEach, describe, expect, test } from 'vitest';
import { SlotView } from '../../src/telemetry/index.ts';
import { CountingPod, type PodHabits } from '../support/counting-pod.ts';
import { harnessMemory, harnessSlots, startHarness } from '../support/dataplane-harness.ts';
import type { Harness, HarnessOptions } from '../support/dataplane-harness.ts';
import { connectTo, eventually, RawUpstream, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { Http2Pod } from '../support/http2-pod.ts';

const ends: (() => void)[] = [];
let harnesses: Harness[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) end();
  for (const { dataplane, bugs, inFlight } of harnesses) {
    await eventually(() => dataplane.state().exchanges === 0, 'no exchange is left');
    expect([inFlight(), bugs]).toEqual([0, []]);
    dataplane.close();
  }
  for (const harness of harnesses) {
    await eventually(() => openAt(harness) === 0, 'no connection is counted any more');
  }
  harnesses = [];
});

function openAt({ slots }: Harness): number {
  return slots.inFlight(slots.connectionsAt(slots.offset('endpoint', firstId)));
}

let firstId = '';

async function start(options: HarnessOptions): Promise<Harness> {
  const { address, port } = options.endpoints[0] ?? { address: '', port: 0 };
  firstId = `${address}:${port}`;
  const harness = await startHarness(options);
  harnesses.push(harness);
  return harness;
}

function limitedTo(maxConnections: number) {
  return { shaping: { maxConnections } };
}

async function pod(habits: PodHabits): Promise<CountingPod> {
  const started = await CountingPod.start('127.0.0.2', habits);
  ends.push(() => started.close());
  return started;
}

async function client({ port }: Harness): Promise<Peer> {
  const peer = await connectTo(port);
  ends.push(() => peer.socket.destroy());
  return peer;
}

async function get(harness: Harness, ...lines: string[]): Promise<Peer> {
  const peer = await client(harness);
  return peer.send(request('GET /', ...lines));
}

/** Each asks so many times, one request after the other; all statuses. */
async function load(askers: readonly Harness[], times: number): Promise<readonly string[]> {
  const one = async (harness: Harness): Promise<readonly string[]> => {
    const peer = await client(harness);
    const seen: string[] = [];
    for (let n = 0; n < times; n += 1) {
      peer.clear();
      peer.send(request('GET /'));
      await peer.until(() => /ok|weft:/.test(peer.text), 'an answer');
      seen.push(peer.text.slice(9, 12));
    }
    return seen;
  };
  return (await Promise.all(askers.map(one))).flat();
}

describe('one worker', () => {
  test('has never more connections to a pod, uses them all, and serves everybody', async () => {
    const upstream = await pod({ serviceMs: 1 });
    const harness = await start({ endpoints: [upstream.endpoint], rules: limitedTo(3) });
    const seen = await load(Array.from({ length: 12 }, () => harness), 10);
    expect(seen.filter((status) => status !== '200')).toEqual([]);
    expect(upstream.connections).toMatchObject({ most: 3, total: 3 });
  });

  test('has never more to a pod that closes each connection', async () => {
    const upstream = await pod({ serviceMs: 1, closes: true });
    const harness = await start({ endpoints: [upstream.endpoint], rules: limitedTo(3) });
    const seen = await load(Array.from({ length: 12 }, () => harness), 5);
    expect(seen.filter((status) => status !== '200')).toEqual([]);
    expect(upstream.connections).toMatchObject({ most: 3, total: 60 });
  });

  test('refuses who has waited a second', async () => {
    const upstream = await pod({});
    const harness = await start({ endpoints: [upstream.endpoint], rules: limitedTo(1) });
    await get(harness);
    await eventually(() => upstream.requests.now === 1, 'the first has come');
    const late = await get(harness);
    await late.see('weft-reason: Overloaded');
    expect(late.text).toMatch(/^HTTP\/1\.1 503 /);
    upstream.answerAll();
    expect(upstream.connections.most).toBe(1);
  });

  test('counts an upgraded connection until it is over', async () => {
    const upstream = await RawUpstream.start('127.0.0.2');
    ends.push(() => upstream.close());
    upstream.answer = (peer) =>
      peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    const harness = await start({ endpoints: [upstream.endpoint], rules: limitedTo(1) });
    const lines = ['Connection: upgrade', 'Upgrade: x'];
    const first = await get(harness, ...lines);
    await first.see('101 Switching');
    const second = await get(harness, ...lines);
    await eventually(() => harness.dataplane.state().exchanges === 2, 'it waits');
    first.reset();
    await second.see('101 Switching');
    expect(upstream.connections.length).toBe(2);
  });

  test('sends as many streams over a connection of HTTP/2 as that takes', async () => {
    const upstream = await Http2Pod.start({ maxConcurrentStreams: 2 }, '127.0.0.2');
    ends.push(() => upstream.close());
    const { endpoint } = upstream;
    const harness = await start({ endpoints: [endpoint], scheme: 'h2c', rules: limitedTo(2) });
    const askers = [];
    for (let n = 0; n < 9; n += 1) askers.push(await get(harness));
    for (let n = 0; n < 9; n += 1) (await upstream.accept()).answer('ok');
    for (const one of askers) await one.see('ok');
    expect(upstream.sessions.length).toBe(2);
  });

  test('closes what is too many once the limit is lower', async () => {
    const upstream = await pod({});
    const { endpoint } = upstream;
    const harness = await start({ endpoints: [endpoint] });
    const askers = [];
    for (let n = 0; n < 4; n += 1) askers.push(await get(harness));
    await eventually(() => upstream.requests.now === 4, 'all have come');
    harness.publish({ endpoints: [endpoint], rules: limitedTo(2) });
    upstream.answerAll();
    for (const one of askers) await one.see('ok');
    for (const one of askers) one.clear();
    // What was begun before the limit is none of its business; what comes now is.
    for (const one of askers) one.send(request('GET /'));
    for (let n = 0; n < 4; n += 1) {
      await eventually(() => upstream.requests.total > 4 + n, 'the next has come');
      upstream.answerAll();
    }
    for (const one of askers) await one.see('ok');
    await eventually(() => upstream.connections.now === 2, 'two are left');
  });

  test('ends who waits in a fault of the proxy at once, and serves the next', async () => {
    const upstream = await pod({});
    const fault = new Error('planted');
    let decided = 0;
    const harness = await start({
      endpoints: [upstream.endpoint],
      rules: limitedTo(1),
      observer: {
        policyDecided: () => {
          decided += 1;
          // The first attempt, two that have to wait, and the first of them once more.
          if (decided === 4) throw fault;
        },
      },
    });
    const first = await get(harness);
    await eventually(() => upstream.requests.now === 1, 'the first has come');
    const second = await get(harness);
    await eventually(() => decided === 2, 'the second waits');
    const third = await get(harness);
    await eventually(() => decided === 3, 'the third waits');
    upstream.answerAll();
    await first.see('ok');
    await second.see('weft-reason: Bug');
    await eventually(() => upstream.requests.now === 1, 'the third has come');
    upstream.answerAll();
    await third.see('ok');
    expect(harness.bugs.splice(0)).toEqual([fault]);
  });

  test('spreads over endpoints that have room', async () => {
    const upstreams = [await pod({}), await CountingPod.start('127.0.0.3')];
    ends.push(() => upstreams[1]?.close());
    const endpoints = upstreams.map(({ endpoint }) => endpoint);
    const harness = await start({ endpoints, rules: limitedTo(2) });
    const askers = [];
    for (let n = 0; n < 4; n += 1) askers.push(await get(harness));
    const come = (): number => upstreams.reduce((sum, { requests }) => sum + requests.now, 0);
    await eventually(() => come() === 4, 'all have come');
    expect(upstreams.map(({ connections }) => connections.most)).toEqual([2, 2]);
    for (const upstream of upstreams) upstream.answerAll();
    for (const one of askers) await one.see('ok');
  });
});

describe('two workers', () => {
  async function both(options: HarnessOptions): Promise<readonly [Harness, Harness]> {
    const memory = harnessMemory();
    return [
      await start({ ...options, worker: { memory, index: 0, count: 2 } }),
      await start({ ...options, worker: { memory, index: 1, count: 2 } }),
    ];
  }

  test('have never more together, and nobody waits in vain', async () => {
    const upstream = await pod({ serviceMs: 1 });
    const [first, second] = await both({ endpoints: [upstream.endpoint], rules: limitedTo(3) });
    const askers = Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? first : second));
    const seen = await load(askers, 20);
    expect(seen.filter((status) => status !== '200')).toEqual([]);
    expect(upstream.connections.most).toBe(3);
  });

  test('an idle connection is closed for who waits at the other one', async () => {
    const upstream = await pod({ serviceMs: 0 });
    const [first, second] = await both({ endpoints: [upstream.endpoint], rules: limitedTo(1) });
    for (const harness of [first, second, first, second, second]) {
      expect(await load([harness], 1)).toEqual(['200']);
    }
    expect(upstream.connections).toMatchObject({ most: 1, total: 4 });
  });

  test('one that was idle before there was a limit is closed as well', async () => {
    const upstream = await pod({ serviceMs: 0 });
    const { endpoint } = upstream;
    const [first, second] = await both({ endpoints: [endpoint] });
    await load([first], 1);
    for (const one of [first, second]) one.publish({ endpoints: [endpoint], rules: limitedTo(1) });
    expect(await load([second], 1)).toEqual(['200']);
    expect(upstream.connections.most).toBe(1);
  });

  test('go on with a connection of HTTP/2 that a long stream keeps open', async () => {
    const upstream = await Http2Pod.start({}, '127.0.0.2');
    ends.push(() => upstream.close());
    const { endpoint } = upstream;
    const options = { endpoints: [endpoint], scheme: 'h2c', rules: limitedTo(1) } as const;
    const [first, second] = await both(options);
    const watching = await get(first);
    const watch = await upstream.accept();
    const sinceMs = performance.now();
    void (async () => {
      for (;;) (await upstream.accept()).answer('ok');
    })();
    // Until then nobody knows that it is a long one, and the first may wait for the second.
    await eventually(() => performance.now() - sinceMs > 500, 'it is a long one');
    let refused = 0;
    const asking = (async () => {
      while (refused < 2) if ((await load([second], 1))[0] === '503') refused += 1;
    })();
    // All the time that the other one waits; a client for each request would be too many clients.
    while (refused < 2) expect(new Set(await load([first], 50))).toEqual(new Set(['200']));
    await asking;
    const last = await get(second);
    watch.answer('ok');
    await watching.see('ok');
    await last.see('ok');
    expect(upstream.sessionsMost).toBe(1);
  });

  test('count no connection that a request of HTTP/2 did not open', async () => {
    const upstream = await Http2Pod.start({}, '127.0.0.2');
    ends.push(() => upstream.close());
    const memory = harnessMemory();
    const options = { endpoints: [upstream.endpoint], scheme: 'h2c', rules: limitedTo(3) } as const;
    const harness = await start({ ...options, worker: { memory, index: 0, count: 2 } });
    const other = new SlotView(memory, { index: 1, count: 2 });
    other.apply(harnessSlots(options));
    const offset = other.offset('endpoint', firstId);
    other.setWaiting(offset, 'connection', true);
    const askers: Peer[] = [];
    // Until the connection is so old that it is to be given to the other worker.
    for (const until = performance.now() + 100; performance.now() < until; ) {
      askers.push(await get(harness));
      const call = await upstream.accept();
      expect(openAt(harness)).toBe(upstream.sessions.length);
      if (askers.length > 1) call.answer('ok');
    }
    other.setWaiting(offset, 'connection', false);
    expect(upstream.sessions.length).toBe(1);
  });

  test('take turns with the one connection of HTTP/2 that there may be', async () => {
    const upstream = await Http2Pod.start({}, '127.0.0.2');
    ends.push(() => upstream.close());
    const { endpoint } = upstream;
    const [first, second] = await both({
      endpoints: [endpoint],
      scheme: 'h2c',
      rules: limitedTo(1),
    });
    void (async () => {
      for (;;) (await upstream.accept()).answer('ok');
    })();
    const askers = Array.from({ length: 8 }, (_, n) => (n % 2 === 0 ? first : second));
    const seen = await load(askers, 20);
    expect(seen.filter((status) => status !== '200')).toEqual([]);
    expect(upstream.sessionsMost).toBe(1);
  });
});
