// The admin port over real sockets: its answers, its limits, and what strangers
// can do to it.
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { jsonAnswer, startAdminServer, textAnswer } from './admin-server.ts';
import type { AdminRoute, AdminServer, AdminServerOptions } from './admin-server.ts';

const routes = new Map<string, AdminRoute>([
  ['/livez', () => textAnswer(200, 'ok')],
  ['/debug/config', ({ query }) => jsonAnswer({ asked: query.get('q') })],
  ['POST /debug/drain', () => textAnswer(200, 'draining')],
  [
    '/debug/bug',
    () => {
      throw new Error('BUG: here');
    },
  ],
]);

let server: AdminServer | undefined;
const sockets: Socket[] = [];
const bugs: unknown[] = [];

async function start(options: Partial<AdminServerOptions> = {}): Promise<number> {
  server = await startAdminServer({
    address: '0.0.0.0',
    port: 0,
    routes,
    debugFrom: 'loopback',
    onBug: (error) => bugs.push(error),
    ...options,
  });
  return server.port;
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  bugs.length = 0;
  await server?.close();
  server = undefined;
});

type Asked = {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly address?: string;
};
type Answered = {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

function ask(port: number, asked: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { path, method = 'GET', headers = {}, address = '127.0.0.1' } = asked;
    const outgoing = httpRequest({ host: address, port, path, method, headers, agent: false });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      const { statusCode: status, headers: answered } = response;
      response.on('end', () => resolve({ status, headers: answered, body }));
    });
    outgoing.end();
  });
}

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    sockets.push(socket);
    socket.on('error', reject);
  });
}

/** Bytes sent as they are → everything that comes back until the server closes. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.setEncoding('latin1').on('data', (piece: string) => (text += piece));
    socket.on('error', () => undefined).on('close', () => resolve(text));
  });
}

describe('admin server', () => {
  test('answers its routes, HEAD without a body, and names them for an unknown path', async () => {
    const port = await start();
    expect(await ask(port, { path: '/livez' })).toMatchObject({ status: 200, body: 'ok\n' });
    const head = await ask(port, { path: '/livez', method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, body: '' });
    expect(head.headers['content-length']).toBe('3');
    const query = await ask(port, { path: '/debug/config?q=a%20b' });
    expect(JSON.parse(query.body)).toEqual({ asked: 'a b' });
    const unknown = await ask(port, { path: '/constructor' });
    expect(unknown).toMatchObject({ status: 404 });
    expect(unknown.body).toContain('/debug/config');
  });

  test('other methods are refused, and GET does not do what POST does', async () => {
    const port = await start();
    expect((await ask(port, { path: '/livez', method: 'DELETE' })).status).toBe(405);
    expect((await ask(port, { path: '/livez', method: 'POST' })).status).toBe(404);
    expect((await ask(port, { path: '/debug/drain' })).status).toBe(405);
    const post = await ask(port, { path: '/debug/drain', method: 'POST' });
    expect(post).toMatchObject({ status: 200, body: 'draining\n' });
  });

  test('a route that throws is a counted bug, not a crash', async () => {
    const port = await start();
    expect((await ask(port, { path: '/debug/bug' })).status).toBe(500);
    expect(bugs).toHaveLength(1);
    expect((await ask(port, { path: '/livez' })).status).toBe(200);
  });

  test('a Host that a DNS name could carry gets no /debug, whoever asks', async () => {
    const port = await start({ debugFrom: 'any' });
    for (const host of ['evil.example', 'localhost.evil.example:15020', '127.0.0.1.evil.example']) {
      const { status } = await ask(port, { path: '/debug/config', headers: { host } });
      expect(status).toBe(403);
      expect((await ask(port, { path: '/livez', headers: { host } })).status).toBe(200);
    }
    for (const host of ['localhost', 'LOCALHOST:15020', '127.0.0.1:15020', '[::1]:15020']) {
      expect((await ask(port, { path: '/debug/config', headers: { host } })).status).toBe(200);
    }
  });

  test('POST from a page of another origin is refused', async () => {
    const port = await start();
    const headers = { origin: 'http://evil.example' };
    expect((await ask(port, { path: '/debug/drain', method: 'POST', headers })).status).toBe(403);
  });

  test('a path is taken as it is: no decoding, no dot segments', async () => {
    const port = await start();
    for (const path of ['/debug/../livez', '//debug/config', '/%64ebug/config', '/debug/config/']) {
      expect((await ask(port, { path })).status).toBe(404);
    }
  });

  test('a request without Host, and a big head, are refused', async () => {
    const port = await start();
    expect(await raw(port, 'GET /livez HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    const big = `GET /livez HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`;
    expect(await raw(port, big)).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('connections that strangers hold open do not keep a probe out', async () => {
    const port = await start();
    for (let index = 0; index < 40; index += 1) await opened(port);
    expect((await ask(port, { path: '/livez' })).status).toBe(200);
  });

  test('a port that is taken is a failure that names it', async () => {
    const port = await start();
    const again = startAdminServer({
      address: '0.0.0.0',
      port,
      routes,
      debugFrom: 'loopback',
      onBug: () => undefined,
    });
    const where = `0.0.0.0 port ${port}`;
    await expect(again).rejects.toThrow(`listen on ${where} for the admin server failed`);
  });
});
