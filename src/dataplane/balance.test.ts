// Choices that do not go by latency: turns are even, and keys stay where they are when endpoints
// come and go.
import { describe, expect, test } from 'vitest';
import { backendId } from '../snapshot/index.ts';
import { pickByKey, pickInTurn } from './balance.ts';
import type { Backend, Endpoint, LoadView } from '../route/index.ts';

function backendOf(count: number, without: readonly number[] = []): Backend {
  const endpoints: Endpoint[] = [];
  for (let at = 0; at < count; at += 1) {
    if (without.includes(at)) continue;
    const address = `10.0.0.${at}`;
    const id = `${address}:80`;
    endpoints.push({ id, namespace: 't', address, port: 80, nodeName: '', podName: '' });
  }
  const id = backendId('t', 'web', 80);
  return { id, namespace: 't', service: 'web', port: 80, scheme: 'http', endpoints };
}

function viewOf(loads: ReadonlyMap<string, number>, excluded: readonly string[] = []): LoadView {
  return {
    load: ({ id }) => loads.get(id) ?? 0,
    isExcluded: ({ id }) => excluded.includes(id),
  };
}

const idle = viewOf(new Map());

test('in turn: each as often as the others, without who is excluded', () => {
  const backend = backendOf(3);
  const told = (view: LoadView) =>
    [0, 1, 2, 3, 4, 5].map((turn) => pickInTurn(backend, view, turn)?.address.slice(-1)).join('');
  expect(told(idle)).toBe('012012');
  expect(told(viewOf(new Map(), ['10.0.0.1:80']))).toBe('022022');
  expect(pickInTurn(backendOf(0), idle, 5)).toBeUndefined();
});

describe('by key', () => {
  const keys = Array.from({ length: 2_000 }, (_, at) => `user-${at}`);
  const owners = (backend: Backend) => keys.map((key) => pickByKey(backend, idle, key)?.id);

  test('keys spread evenly', () => {
    const counts = new Map<string | undefined, number>();
    for (const id of owners(backendOf(10))) counts.set(id, (counts.get(id) ?? 0) + 1);
    expect(counts.size).toBe(10);
    for (const count of counts.values()) expect(Math.abs(count - 200)).toBeLessThan(60);
  });

  test('only the keys of an endpoint that goes move', () => {
    const before = owners(backendOf(10));
    const after = owners(backendOf(10, [4]));
    const moved = keys.filter((_, at) => before[at] !== after[at]);
    expect(moved.length).toBe(before.filter((id) => id === '10.0.0.4:80').length);
  });

  test('an endpoint with more than 1.25 times its part is passed over', () => {
    const backend = backendOf(4);
    const owner = pickByKey(backend, idle, 'hot')?.id ?? '';
    const others = backend.endpoints.filter(({ id }) => id !== owner);
    const even = new Map(others.map(({ id }) => [id, 10]));
    expect(pickByKey(backend, viewOf(new Map([...even, [owner, 11]])), 'hot')?.id).toBe(owner);
    expect(pickByKey(backend, viewOf(new Map([...even, [owner, 15]])), 'hot')?.id).not.toBe(owner);
    expect(pickByKey(backend, viewOf(even, [owner]), 'hot')?.id).not.toBe(owner);
  });
});
