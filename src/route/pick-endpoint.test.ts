// Endpoint choice under load and exclusions, with a seeded generator: least load among few, two
// choices among many, chance among equals.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { backendId } from '../snapshot/index.ts';
import { pickEndpoint } from './pick-endpoint.ts';
import type { Backend, Endpoint, LoadView } from './types.ts';

function backendOf(count: number): Backend {
  const endpoints = Array.from({ length: count }, (_, at): Endpoint => {
    const address = `10.1.${at >> 8}.${at & 255}`;
    const where = { address, port: 80, nodeName: 'n', podName: '', namespace: 'shop' };
    return { id: `${address}:80`, ...where };
  });
  const id = backendId('shop', 'web', 80);
  return { id, namespace: 'shop', service: 'web', port: 80, scheme: 'http', endpoints };
}

function viewOf(loads: readonly number[], excluded: ReadonlySet<number> = new Set()): LoadView {
  const at = ({ address }: Endpoint): number => {
    const [, , high = '0', low = '0'] = address.split('.');
    return Number(high) * 256 + Number(low);
  };
  return {
    load: (endpoint) => loads[at(endpoint)] ?? 0,
    isExcluded: (endpoint) => excluded.has(at(endpoint)),
  };
}

/** How often each endpoint is picked in `rounds`. */
function tally(backend: Backend, view: LoadView, rounds: number): readonly number[] {
  const random = seededRandom(5);
  const counts = new Array<number>(backend.endpoints.length).fill(0);
  for (let round = 0; round < rounds; round += 1) {
    const picked = pickEndpoint(backend, view, random);
    const at = picked === undefined ? -1 : backend.endpoints.indexOf(picked);
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

describe('few endpoints', () => {
  test('the least loaded is picked always', () => {
    expect(tally(backendOf(8), viewOf([3, 2, 9, 1, 4, 5, 6, 7]), 100)).toEqual([
      0, 0, 0, 100, 0, 0, 0, 0,
    ]);
  });

  test('equals are equally likely', () => {
    for (const count of tally(backendOf(4), viewOf([1, 0, 0, 0]), 3000).slice(1)) {
      expect(count).toBeGreaterThan(900);
      expect(count).toBeLessThan(1100);
    }
  });

  test('excluded ones are never picked, and none is left when all are', () => {
    expect(tally(backendOf(3), viewOf([0, 5, 9], new Set([0])), 50)).toEqual([0, 50, 0]);
    const random = seededRandom(1);
    expect(pickEndpoint(backendOf(3), viewOf([], new Set([0, 1, 2])), random)).toBeUndefined();
    expect(pickEndpoint(backendOf(0), viewOf([]), random)).toBeUndefined();
  });
});

describe('many endpoints', () => {
  test('without load each is as likely as the others', () => {
    for (const count of tally(backendOf(20), viewOf([]), 20_000)) {
      expect(count).toBeGreaterThan(850);
      expect(count).toBeLessThan(1150);
    }
  });

  test('the most loaded is picked only against itself, which never happens', () => {
    const loads = Array.from({ length: 20 }, (_, at) => at);
    const counts = tally(backendOf(20), viewOf(loads), 5000);
    expect(counts[19]).toBe(0);
    expect(counts[0]).toBeGreaterThan(counts[10] ?? 0);
  });

  test('one that is left among a thousand is found', () => {
    const excluded = new Set(Array.from({ length: 1000 }, (_, at) => at));
    excluded.delete(777);
    const picked = pickEndpoint(backendOf(1000), viewOf([], excluded), seededRandom(3));
    expect(picked?.address).toBe('10.1.3.9');
    excluded.add(777);
    expect(pickEndpoint(backendOf(1000), viewOf([], excluded), seededRandom(3))).toBeUndefined();
  });
});
