// The way through the API server to a pod's own port, as `weft check` asks proxies for their
// version. The pod is a plain HTTP server here.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realRuntime as runtime } from '../../main/runtime.ts';
import { startApiServer, type ApiServer } from './api-server.ts';

let server: ApiServer;
let pod: Server;
let port: number;
const asked: IncomingMessage[] = [];

async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  const headers = {
    authorization: `Bearer ${server.adminToken}`,
    'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
  };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  return fetch(`${server.url}${path}`, { method, headers, ...sent });
}

const pods = '/api/v1/namespaces/default/pods';

beforeEach(async () => {
  asked.length = 0;
  server = await startApiServer({ runtime, transport: 'http' });
  pod = createServer((request, response) => {
    asked.push(request);
    response.writeHead(418, { 'content-type': 'text/tea' });
    response.end('a pot');
  });
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve));
  port = (pod.address() as AddressInfo).port;
  const spec = { nodeName: 'node-1', containers: [{ name: 'c', image: 'none' }] };
  await ask('POST', pods, { metadata: { name: 'tea' }, spec });
  await ask('PATCH', `${pods}/tea/status`, { status: { podIP: '127.0.0.1' } });
});

afterEach(async () => {
  await server.close();
  await new Promise((resolve) => pod.close(resolve));
});

test('what the pod answers is handed on as it is, whichever way the colon is written', async () => {
  for (const name of [`tea:${port}`, `tea%3A${port}`]) {
    const answer = await ask('GET', `${pods}/${name}/proxy/pot?full=1`);
    expect(answer.status).toBe(418);
    expect(answer.headers.get('content-type')).toBe('text/tea');
    expect(await answer.text()).toBe('a pot');
  }
  expect(asked.map(({ url }) => url)).toEqual(['/pot?full=1', '/pot?full=1']);
});

test("the client's token stays here", async () => {
  await ask('GET', `${pods}/tea:${port}/proxy/`);
  expect(asked[0]?.headers.authorization).toBeUndefined();
});

test('other methods are refused before the pod hears of them', async () => {
  expect((await ask('POST', `${pods}/tea:${port}/proxy/pot`, {})).status).toBe(405);
  expect(asked).toEqual([]);
});

test('who has no token learns nothing of pods', async () => {
  const answer = await fetch(`${server.url}${pods}/tea:${port}/proxy/pot`);
  expect(answer.status).toBe(401);
  expect(asked).toEqual([]);
});
