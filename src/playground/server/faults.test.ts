// Injected faults: each does to a client what it says, as often as it says, and to the requests
// that it is meant for.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Runtime } from '../../lib/clock.ts';
import { realRuntime } from '../../main/runtime.ts';
import { startApiServer, type ApiServer } from './api-server.ts';

let server: ApiServer;
let delays: number[];

/** Injected waits are noted and short; what watches wait for stays as long as it is. */
const runtime: Runtime = {
  ...realRuntime,
  timers: {
    after: (delayMs, callback) => {
      delays.push(delayMs);
      return realRuntime.timers.after(delayMs === 12_345 ? 1 : delayMs, callback);
    },
  },
};

beforeEach(async () => {
  delays = [];
  server = await startApiServer({ runtime, transport: 'http' });
});
afterEach(() => server.close());

function ask(path: string): Promise<Response> {
  return fetch(server.url + path, { headers: { authorization: `Bearer ${server.adminToken}` } });
}

const watchPath = '/api/v1/namespaces?watch=true';

test('a status fault answers in the place of the server, as often as it says', async () => {
  server.faults.inject({ fault: { kind: 'status', code: 429, retryAfterSeconds: 3 }, count: 2 });
  for (let times = 0; times < 2; times += 1) {
    const answer = await ask('/api/v1/pods');
    expect(answer.status).toBe(429);
    expect(answer.headers.get('retry-after')).toBe('3');
    await answer.text();
  }
  expect((await ask('/api/v1/pods')).status).toBe(200);
});

test('a fault meets only the requests that it is meant for, and can be taken back', async () => {
  const takeBack = server.faults.inject({
    fault: { kind: 'status', code: 500 },
    matches: (request) => request.path.endsWith('/pods'),
  });
  expect((await ask('/api/v1/services')).status).toBe(200);
  expect((await ask('/api/v1/pods')).status).toBe(500);
  takeBack();
  expect((await ask('/api/v1/pods')).status).toBe(200);
});

test('a reset cuts the connection without an answer', async () => {
  server.faults.inject({ fault: { kind: 'reset' }, count: 1 });
  await expect(ask('/api/v1/pods')).rejects.toThrow();
  expect((await ask('/api/v1/pods')).status).toBe(200);
});

test('latency delays the answer', async () => {
  server.faults.inject({ fault: { kind: 'latency', ms: 12_345 }, count: 1 });
  expect((await ask('/api/v1/pods')).status).toBe(200);
  expect(delays).toContain(12_345);
  expect((await ask('/api/v1/pods')).status).toBe(200);
  expect(delays.filter((ms) => ms === 12_345)).toHaveLength(1);
});

test('a cut watch ends at once, and lists are spared', async () => {
  server.faults.inject({ fault: { kind: 'cut-watch' } });
  expect((await ask('/api/v1/namespaces')).status).toBe(200);
  const watch = await ask(watchPath);
  expect(watch.status).toBe(200);
  expect(await watch.text()).toBe('');
});

test('a stale watch is open and silent', async () => {
  server.faults.inject({ fault: { kind: 'stale-watch' }, count: 1 });
  const stale = await ask(watchPath);
  const fresh = await ask(watchPath);
  const reader = fresh.body?.getReader();
  const first = (await reader?.read()) as { value?: Uint8Array } | undefined;
  expect(first?.value?.length).toBeGreaterThan(0);
  const silent = stale.body?.getReader();
  const winner = await Promise.race([
    silent?.read(),
    reader?.read().then(() => 'fresh'),
    ask('/version').then(() => 'none'),
  ]);
  expect(['none', 'fresh']).toContain(winner);
  await Promise.all([silent?.cancel(), reader?.cancel()]);
});

test('a forgotten history makes older watches start again', async () => {
  const list = (await (await ask('/api/v1/namespaces')).json()) as {
    metadata: { resourceVersion: string };
  };
  const create = { method: 'POST', headers: { authorization: `Bearer ${server.adminToken}` } };
  await fetch(`${server.url}/api/v1/namespaces`, {
    ...create,
    body: '{"metadata":{"name":"new"}}',
  });
  server.compact();
  const watch = await ask(`${watchPath}&resourceVersion=${list.metadata.resourceVersion}`);
  expect(await watch.text()).toContain('"code":410');
});

test('an interrupted server refuses, and is back with its data on the same port', async () => {
  const create = { method: 'POST', headers: { authorization: `Bearer ${server.adminToken}` } };
  await fetch(`${server.url}/api/v1/namespaces`, {
    ...create,
    body: '{"metadata":{"name":"new"}}',
  });
  await server.interrupt();
  await expect(ask('/api/v1/pods')).rejects.toThrow();
  await server.resume();
  expect((await ask('/api/v1/namespaces/new')).status).toBe(200);
});

test('cut connections end watches, and the server goes on', async () => {
  const watch = await ask(watchPath);
  server.cutConnections();
  await expect(watch.text()).rejects.toThrow();
  expect((await ask('/api/v1/pods')).status).toBe(200);
});
