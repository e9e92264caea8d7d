// Protocols on ports that are not theirs: what the client gets names the annotation to set, and it
// is counted under a reason of its own.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import type { RejectFacts } from '../../src/dataplane/index.ts';
import { startHarness, type Harness } from '../support/dataplane-harness.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const rejected: RejectFacts[] = [];

type Place = { readonly address: string; readonly port: number };

async function mesh(endpoints: readonly Place[] = []): Promise<Harness> {
  rejected.length = 0;
  const requestRejected = (facts: RejectFacts): void => void rejected.push(facts);
  const harness = await startHarness({ endpoints, observer: { requestRejected } });
  cleanups.push(() => harness.dataplane.close());
  return harness;
}

/** Sends these bytes; everything that comes until the other side closes. */
async function said(port: number, bytes: Uint8Array | string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (data: string) => {
    text += data;
  });
  socket.write(bytes);
  await once(socket, 'close');
  return text;
}

/** A pod that answers whoever connects, or whoever has said something, with these bytes. */
async function pod(answer: Uint8Array): Promise<Place> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return { address: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

test('TLS on an HTTP port: the answer names the annotation, and it is counted', async () => {
  const { port, bugs } = await mesh();
  const text = await said(port, Uint8Array.of(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3));
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(text).toMatch(/^weft-reason: WrongProtocol\r$/im);
  expect(text).toContain('weft.dev/traffic-type: tcp');
  expect(rejected).toMatchObject([{ reason: 'WrongProtocol', status: 400, servicePort: 80 }]);
  expect(bugs).toEqual([]);
});

test('a real TLS client is told at once, not after its time-out', async () => {
  const { port } = await mesh();
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  const [error] = (await once(socket, 'error')) as [Error & { code?: string }];
  // Whichever way OpenSSL says that this is no TLS.
  expect(String(error.code)).toMatch(/^ERR_SSL_/);
  expect(rejected).toHaveLength(1);
});

test('a later request that begins with such a byte is malformed all the same', async () => {
  const { port } = await mesh();
  const first = 'GET / HTTP/1.1\r\nhost: nobody.t.mesh\r\n\r\n';
  const text = await said(port, Buffer.from(`${first}\x16\x03\x01`, 'latin1'));
  expect(text).toContain('weft-reason: UnknownService');
  expect(text).toContain('weft-reason: WrongProtocol');
});

test.each([
  ['expects TLS', Uint8Array.of(0x15, 3, 3, 0, 2, 2, 70)],
  ['speaks HTTP/2', Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0)],
  ['is a database', Buffer.from('E\x00\x00\x00\x20SFATAL\x00')],
])('a pod that %s: the 502 names the annotations to set', async (_, answer) => {
  const { port } = await mesh([await pod(answer)]);
  const text = await said(port, 'GET / HTTP/1.1\r\nhost: h1.t.mesh\r\nconnection: close\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1\.1 502 /);
  expect(text).toContain('weft-reason: UpstreamProtocol');
  expect(text).toContain('weft.dev/scheme: https or h2c');
  expect(text).toContain('weft.dev/traffic-type: tcp');
});
