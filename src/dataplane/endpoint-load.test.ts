// Who is picked by what the shared cells say: this runs for every attempt of every service.
// What an endpoint's numbers mean is in latency.test.ts and outliers.test.ts.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import type { Backend, Endpoint } from '../route/index.ts';
import { backendId, endpointId } from '../snapshot/index.ts';
import { createSlotMemory, SlotView } from '../telemetry/index.ts';
import { EndpointLoads } from './endpoint-load.ts';
import { noneTried } from './retries.ts';

function fixture(count: number) {
  const endpoints: Endpoint[] = Array.from({ length: count }, (_, at) => {
    const address = `10.0.0.${at + 1}`;
    const id = endpointId(address, 80);
    return { id, namespace: 't', address, port: 80, nodeName: '', podName: '' };
  });
  const id = backendId('t', 'web', 80);
  const backend: Backend = {
    id,
    namespace: 't',
    service: 'web',
    port: 80,
    scheme: 'http',
    endpoints,
  };
  const memory = createSlotMemory({ split: 2, endpoint: count + 1, service: 2 });
  const slots = new SlotView(memory, { index: 0, count: 2 });
  slots.apply({ set: endpoints.map((one, at) => ['endpoint', one.id, at + 1]), freed: [] });
  const time = { ms: 1_790_000_000_000 };
  const now = () => time.ms;
  const loads = new EndpointLoads(slots, { nowMs: now, wallMs: now });
  const random = seededRandom(3);
  const pick = () => loads.pick(backend, noneTried, random);
  return { backend, loads, random, time, pick };
}

function shares(pick: () => Endpoint | undefined, rounds: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let n = 0; n < rounds; n += 1) {
    const address = pick()?.address ?? 'none';
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

describe('a pick', () => {
  test('goes to all endpoints alike where none is known to be worse', () => {
    const { backend, loads, pick, time } = fixture(4);
    for (const one of backend.endpoints) loads.measured(one, 1);
    time.ms += 60_000;
    for (const count of shares(pick, 4_000).values()) expect(count).toBeGreaterThan(800);
  });

  test('leaves the slow one until what is known of it has faded', () => {
    const { backend, loads, pick, time } = fixture(3);
    for (const [at, one] of backend.endpoints.entries()) loads.measured(one, at === 0 ? 400 : 10);
    time.ms += 11_000;
    expect(shares(pick, 300).get('10.0.0.1')).toBeUndefined();
    time.ms += 60_000;
    expect(shares(pick, 300).get('10.0.0.1')).toBeGreaterThan(50);
  });

  test.each([2, 5, 40])('of %i never goes to who is out, unless most are', (count) => {
    const { backend, loads, pick, random, time } = fixture(count);
    const half = Math.floor(count / 2);
    const bad = backend.endpoints.slice(0, half);
    for (const one of bad) loads.failed(one, 'refused', random);
    const told = shares(pick, 2_000);
    for (const { address } of bad) expect(told.has(address)).toBe(false);
    const next = backend.endpoints[half];
    if (next !== undefined) loads.failed(next, 'refused', random);
    time.ms += 150;
    expect(shares(pick, 2_000).size).toBeGreaterThan(count - half);
  });

  test('finds somebody where all of many have been put out since they were counted', () => {
    const { backend, loads, pick, random } = fixture(20);
    const [first, ...others] = backend.endpoints;
    if (first === undefined) throw new Error('no endpoint');
    loads.failed(first, 'refused', random);
    expect(pick()).toBeDefined();
    for (const one of others) loads.failed(one, 'refused', random);
    expect(pick()).toBeDefined();
    expect(loads.pick(backend, new Set([first.id]), random)).toBeDefined();
  });
});

describe('the probe of an endpoint that was out', () => {
  function due() {
    const made = fixture(2);
    const [bad, good] = made.backend.endpoints;
    if (bad === undefined || good === undefined) throw new Error('no endpoint');
    made.loads.failed(bad, 'refused', made.random);
    made.time.ms += 2_000;
    // Whose probe is due is asked before all others.
    made.loads.measured(good, 10);
    return { ...made, bad };
  }

  test('is not spent by calls that are never sent', () => {
    const { bad, pick } = due();
    for (let n = 0; n < 10; n += 1) expect(pick()).toBe(bad);
  });

  test.each([undefined, 7])('is the first attempt that begins, and only that (place %s)', (at) => {
    const { bad, loads, pick } = due();
    expect(pick()).toBe(bad);
    loads.countUp(bad, at);
    for (let n = 0; n < 10; n += 1) expect(pick()).not.toBe(bad);
    loads.succeeded(bad);
    expect(shares(pick, 100).get(bad.address)).toBeGreaterThan(0);
  });

  test('is no attempt at another endpoint', () => {
    const { backend, bad, loads, pick } = due();
    pick();
    for (const one of backend.endpoints) if (one !== bad) loads.countUp(one);
    expect(pick()).toBe(bad);
  });
});

describe('whether another endpoint is well', () => {
  const tried = (one: Endpoint | undefined) => new Set([one?.id ?? '']);

  test('says yes of one that nobody has complained of, and no of the one that was tried', () => {
    const { backend, loads } = fixture(2);
    expect(loads.hasWellOne(backend, tried(backend.endpoints[0]))).toBe(true);
    const alone = fixture(1);
    expect(alone.loads.hasWellOne(alone.backend, tried(alone.backend.endpoints[0]))).toBe(false);
  });

  test('says no of one that has failed, until it answers well', () => {
    const { backend, loads, random } = fixture(2);
    const [first, second] = backend.endpoints;
    if (first === undefined || second === undefined) throw new Error('no endpoint');
    loads.failed(second, 'hard', random);
    expect(loads.hasWellOne(backend, tried(first))).toBe(false);
    expect(loads.hasOther(backend, new Set(), first)).toBe(true);
    loads.succeeded(second);
    expect(loads.hasWellOne(backend, tried(first))).toBe(true);
  });

  test('says no of one that is out, also when its probe is due', () => {
    const { backend, loads, random, time } = fixture(2);
    const [first, second] = backend.endpoints;
    if (first === undefined || second === undefined) throw new Error('no endpoint');
    loads.failed(second, 'refused', random);
    expect(loads.hasWellOne(backend, tried(first))).toBe(false);
    time.ms += 3_000;
    expect(loads.hasWellOne(backend, tried(first))).toBe(false);
  });
});
