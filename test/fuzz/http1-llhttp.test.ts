// A second opinion: what the codec forwards is given to Node's own HTTP parser (llhttp) over real
// sockets, which must see the same messages – the same number, the same targets, the same bodies.
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import { cut, readRequests, readResponses } from './http1-messages.ts';
import { mutate, pick, seedsOf } from './http1-mutations.ts';
import { rewriteRequest, rewriteResponse } from './http1-rewrite.ts';

const inputs = 300;

function portOf(server: net.Server): number {
  // A TCP server that listens has an address object; only pipes have a string.
  return (server.address() as AddressInfo).port;
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  let body = '';
  message.setEncoding('latin1');
  for await (const piece of message) body += String(piece);
  return body;
}

test('llhttp sees the requests that are forwarded', async () => {
  let seen: string[] = [];
  let errors = 0;
  const server = createServer((message, response) => {
    void bodyOf(message).then((body) => {
      seen.push(`${message.method} ${message.url} ${body}`);
      response.end();
    });
  });
  server.on('clientError', (_error, socket) => {
    errors += 1;
    socket.destroy();
  });
  server.on('upgrade', (message, socket) => {
    seen.push(`${message.method} ${message.url} `);
    socket.destroy();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const seeds = seedsOf('request');
  for (let seed = 1; seed <= inputs; seed += 1) {
    const random = seededRandom(seed);
    const text = mutate(pick(seeds, random), random);
    const { messages } = readRequests(cut(text));
    // An upgrade ends HTTP on its connection, so nothing can follow it here; and Node answers what
    // it takes to be no method by itself.
    const known = messages.filter(({ head }) => /^[A-Z]+$/.test(head.method));
    const last = known.findIndex(({ head }) => head.upgrade !== undefined);
    const sent = last < 0 ? known : known.slice(0, last + 1);
    const isKnown = sent.every(({ head }) => /^(GET|POST|OPTIONS|DELETE)$/.test(head.method));
    if (sent.length === 0 || !isKnown) continue;
    seen = [];
    const socket = net.connect({ port: portOf(server), host: '127.0.0.1' });
    socket.end(sent.map(rewriteRequest).join(''), 'latin1');
    socket.resume();
    await once(socket, 'close');
    const wanted = sent.map(({ head, body }) => `${head.method} ${head.target} ${body}`);
    expect(seen, `seed ${seed}: ${JSON.stringify(text)}`).toEqual(wanted);
  }
  server.close();
  expect(errors).toBe(0);
});

test('llhttp sees the responses that are forwarded', async () => {
  let bytes = '';
  const server = net.createServer((socket) => {
    socket.once('data', () => socket.end(bytes, 'latin1'));
    socket.on('error', () => socket.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const seeds = seedsOf('response');
  for (let seed = 1; seed <= inputs; seed += 1) {
    const random = seededRandom(seed);
    const text = mutate(pick(seeds, random), random);
    const { messages } = readResponses(cut(text), { method: 'GET', upgrade: undefined });
    const final = messages.findIndex(({ head }) => head.status >= 200);
    const wanted = messages[final];
    if (wanted === undefined) continue;
    bytes = messages.slice(0, final + 1).map(rewriteResponse).join('');
    const client = request({ port: portOf(server), host: '127.0.0.1', agent: false });
    client.end();
    const [message] = (await once(client, 'response')) as [IncomingMessage];
    const label = `seed ${seed}: ${JSON.stringify(text)}`;
    expect(message.statusCode, label).toBe(wanted.head.status);
    expect(await bodyOf(message), label).toBe(wanted.body);
    client.destroy();
  }
  server.close();
});
