// The real transport against a real HTTP server on a loopback port: what goes over the wire, and
// what the network's ways to fail are called.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { realRuntime } from '../../test/kube/support/runtime.ts';
import { kubeReason } from './client.ts';
import type { Connection } from './connection.ts';
import { connectionOver } from './connection.ts';
import type { Credentials, CredentialSource } from './credentials.ts';
import { openTransport } from './transport.ts';

type Seen = { readonly line: string; readonly headers: IncomingMessage['headers']; body: string };

let server: Server;
let seen: Seen[];
let respond: (request: IncomingMessage, response: ServerResponse) => void;
let token: string;
let refusals: number;
let connection: Connection;

beforeEach(async () => {
  seen = [];
  token = 'secret';
  refusals = 0;
  respond = (_, response) => void response.end('{}');
  server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`;
    const entry: Seen = { line, headers: request.headers, body: '' };
    seen.push(entry);
    request.on('data', (chunk: Buffer) => {
      entry.body += chunk.toString();
    });
    request.on('end', () => respond(request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // The address of a listening TCP server is never a string.
  const { port } = server.address() as AddressInfo;
  const source: CredentialSource = {
    current: () => Promise.resolve(credentials(`http://127.0.0.1:${port}`)),
    distrust: () => {
      refusals += 1;
    },
  };
  connection = connectionOver(await openTransport(source), realRuntime);
});

afterEach(async () => {
  await connection.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function credentials(url: string): Credentials {
  return { server: url, basePath: '/base', tls: { rejectUnauthorized: true }, tlsKey: '', token };
}

async function reasonOf(action: Promise<unknown>): Promise<string | undefined> {
  return action.then(
    () => undefined,
    (error: unknown) => kubeReason(error),
  );
}

describe('a request', () => {
  test('carries the token of the moment', async () => {
    await connection.get('/api');
    token = 'renewed';
    await connection.get('/api', { limit: 5, continue: undefined });
    expect(seen.map((entry) => [entry.line, entry.headers.authorization])).toEqual([
      ['GET /base/api', 'Bearer secret'],
      ['GET /base/api?limit=5', 'Bearer renewed'],
    ]);
  });

  test('that writes is not sent when its sender lost the right to while it waited', async () => {
    // Asked when it is handed over, and again when the connection is there.
    const answers = [true, false];
    const writer = connection.onlyWhile(() => answers.shift() ?? true);
    expect(await reasonOf(writer.patch('/x', { kind: 'merge', body: {} }))).toBe('Cancelled');
    expect(seen).toEqual([]);
    expect(answers).toEqual([]);
    await writer.patch('/y', { kind: 'merge', body: {} });
    expect(seen.map(({ line, body }) => `${line} ${body}`)).toEqual(['PATCH /base/y {}']);
  });

  test('that reads is sent whoever may write', async () => {
    await connection.onlyWhile(() => false).within(1_000).get('/x');
    const writer = connection.onlyWhile(() => false).within(1_000);
    expect(await reasonOf(writer.create('/x', {}))).toBe('Cancelled');
    expect(seen.map(({ line }) => line)).toEqual(['GET /base/x']);
  });

  test('says by its content type which kind of patch it is', async () => {
    await connection.patch('/x', { kind: 'merge', body: { a: 1 } });
    await connection.patch('/x', { kind: 'json', body: [] });
    await connection.apply('/x', { b: 2 }, { force: true });
    expect(seen.map((entry) => [entry.line, entry.headers['content-type'], entry.body])).toEqual([
      ['PATCH /base/x', 'application/merge-patch+json', '{"a":1}'],
      ['PATCH /base/x', 'application/json-patch+json', '[]'],
      [
        'PATCH /base/x?fieldManager=weft-controller&force=true',
        'application/apply-patch+yaml',
        '{"b":2}',
      ],
    ]);
  });

  test('that is refused has the reason of the status', async () => {
    const cases: readonly (readonly [status: number, body: unknown, reason: string])[] = [
      [401, {}, 'Unauthorized'],
      [403, {}, 'Forbidden'],
      [404, {}, 'NotFound'],
      [409, { reason: 'AlreadyExists' }, 'AlreadyExists'],
      [409, { reason: 'Conflict' }, 'Conflict'],
      [410, {}, 'Gone'],
      [422, {}, 'Invalid'],
      [429, {}, 'TooManyRequests'],
      [500, {}, 'ServerError'],
      [503, {}, 'Unavailable'],
      [504, {}, 'Timeout'],
      [302, {}, 'BadResponse'],
    ];
    for (const [status, body, reason] of cases) {
      respond = (_, response) => void response.writeHead(status).end(JSON.stringify(body));
      expect([status, await reasonOf(connection.get('/x'))]).toEqual([status, reason]);
    }
    expect(refusals).toBe(1);
  });

  test('that is sent away says for how long', async () => {
    respond = (_, response) => void response.writeHead(429, { 'retry-after': '7' }).end();
    await expect(connection.get('/x')).rejects.toMatchObject({ retryAfterMs: 7_000 });
    const body = JSON.stringify({ details: { retryAfterSeconds: 3 } });
    respond = (_, response) => void response.writeHead(503).end(body);
    await expect(connection.get('/x')).rejects.toMatchObject({ retryAfterMs: 3_000 });
  });

  test('that gets no answer ends at its deadline', async () => {
    respond = () => undefined;
    expect(await reasonOf(connection.within(50).get('/x'))).toBe('Timeout');
  });

  test('whose answer stops half-way ends at its deadline', async () => {
    respond = (_, response) => void response.writeHead(200).write('{"a":');
    expect(await reasonOf(connection.within(50).get('/x'))).toBe('Timeout');
  });

  test('whose answer is cut is unreachable, and never half an object', async () => {
    respond = (_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{"a":1');
      setImmediate(() => response.destroy());
    };
    expect(await reasonOf(connection.get('/x'))).toBe('Unreachable');
  });

  test('whose answer is no JSON is a bad response', async () => {
    respond = (_, response) => void response.end('<html>');
    expect(await reasonOf(connection.get('/x'))).toBe('BadResponse');
  });

  test('that nobody listens for is unreachable', async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await reasonOf(connection.get('/x'))).toBe('Unreachable');
  });

  test('shows no secret in its failure', async () => {
    respond = (_, response) => void response.writeHead(500).end('broken');
    const asked = connection.get('/x', { q: 'private' });
    await expect(asked).rejects.toThrow(/^GET \/x was answered 500/);
    await expect(connection.get('/x')).rejects.not.toThrow(/secret/);
  });
});

describe('a stream', () => {
  async function read(abort = new AbortController()): Promise<string> {
    let text = '';
    for await (const chunk of await connection.openStream('/w', {}, abort.signal)) {
      text += Buffer.from(chunk).toString();
      if (text.includes('enough')) abort.abort();
    }
    return text;
  }

  test('ends cleanly when the server ends it', async () => {
    respond = (_, response) => {
      response.write('one\n');
      response.end('two\n');
    };
    expect(await read()).toBe('one\ntwo\n');
  });

  test('that is reset fails as unreachable', async () => {
    respond = (_, response) => {
      response.write('one\n');
      setImmediate(() => response.destroy());
    };
    expect(await reasonOf(read())).toBe('Unreachable');
  });

  test('that is aborted fails as cancelled and closes its connection', async () => {
    let closed: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => {
      closed = resolve;
    });
    respond = (_, response) => {
      response.on('close', closed);
      response.write('enough\n');
    };
    expect(await reasonOf(read())).toBe('Cancelled');
    await gone;
  });

  test('that is refused fails with the reason', async () => {
    respond = (_, response) => void response.writeHead(410).end('{"reason":"Expired"}');
    expect(await reasonOf(read())).toBe('Gone');
  });
});

describe('everybody who waits', () => {
  test('is told when the server answers again, and only then', async () => {
    let calls = 0;
    connection.onReachable(() => {
      calls += 1;
    });
    await connection.get('/x');
    respond = (_, response) => void response.destroy();
    await reasonOf(connection.get('/x'));
    expect(calls).toBe(0);
    respond = (_, response) => void response.writeHead(500).end();
    await reasonOf(connection.get('/x'));
    await reasonOf(connection.get('/x'));
    expect(calls).toBe(1);
  });
});
