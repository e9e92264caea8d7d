// Pods that serve HTTPS (`weft.dev/scheme: https`): whom they are believed to be, what reaches
// them, and that all that holds for plain pods holds for them, on this node and on another one.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import type { PodTlsSpec } from '../../src/snapshot/index.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness, MeshOptions, TestEndpoint } from '../support/dataplane-harness.ts';
import { connectTo, request } from '../support/dataplane-sockets.ts';
import { serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';
import { PodAuthority } from '../support/pod-certificates.ts';
import type { PodCertificate } from '../support/pod-certificates.ts';

const serverName = 'h1.t.svc.cluster.local';
const authority = new PodAuthority();
const good = authority.issue(serverName);
const anyone: PodTlsSpec = { serverName, trust: 'anyone' };
const verified: PodTlsSpec = { serverName, trust: { pem: authority.pem } };

const stops: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

type TlsPod = {
  readonly endpoint: TestEndpoint;
  readonly requests: IncomingMessage[];
  readonly sockets: TLSSocket[];
  readonly server: https.Server;
};

const hello: Answer = (_, response) => void response.end('hello');

async function startPod(
  certificate: PodCertificate,
  {
    address = '127.0.0.2',
    answer = hello,
    ...options
  }: https.ServerOptions & {
    address?: string;
    answer?: Answer;
  } = {},
): Promise<TlsPod> {
  const server = https.createServer({ ...certificate, ...options });
  const [requests, sockets]: [IncomingMessage[], TLSSocket[]] = [[], []];
  server.on('secureConnection', (socket) => sockets.push(socket));
  server.on('request', (asked: IncomingMessage, response: ServerResponse) => {
    requests.push(asked);
    answer(asked, response);
  });
  server.listen(0, address);
  await once(server, 'listening');
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  // Of a server that listens on TCP.
  const { port } = server.address() as AddressInfo;
  return { endpoint: { address, port }, requests, sockets, server };
}

async function startMesh(mesh: Omit<MeshOptions, 'scheme'>): Promise<Harness> {
  const harness = await startHarness({ ...mesh, alias: '127.0.0.1', scheme: 'https' });
  stops.push(() => {
    harness.dataplane.close();
    expect(harness.bugs).toEqual([]);
  });
  return harness;
}

async function get(harness: Harness, path = '/'): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${harness.port}${path}`);
  return { status: response.status, text: await response.text() };
}

/** Node's types do not know it. */
function sniOf(socket: TLSSocket): unknown {
  return Reflect.get(socket, 'servername');
}

/** Host is no header that `fetch` would take. */
async function ask(harness: Harness, ...lines: string[]): Promise<string> {
  const client = await connectTo(harness.port);
  client.send(request('GET /', 'Connection: close', ...lines));
  return client.closed();
}

describe('whom a pod is believed to be', () => {
  test.each<[string, PodTlsSpec, PodCertificate]>([
    ['anyone, where nothing is verified', anyone, new PodAuthority().issue('other.example')],
    ['the service, under the roots that are given', verified, good],
  ])('%s', async (_, tls, certificate) => {
    const pod = await startPod(certificate);
    const harness = await startMesh({ endpoints: [pod.endpoint], tls });
    expect(await ask(harness)).toMatch(/^HTTP\/1\.1 200 [^]*hello$/);
    expect(pod.sockets.map((socket) => [sniOf(socket), socket.alpnProtocol])).toEqual([
      [serverName, 'http/1.1'],
    ]);
    expect(pod.requests.map(({ headers }) => headers.host)).toEqual(['h1.t.mesh']);
  });

  test.each<[string, PodTlsSpec, PodCertificate]>([
    ['one of another authority', verified, new PodAuthority().issue(serverName)],
    ['one for the name in the mesh', verified, authority.issue('h1.t.mesh')],
    ['one for another service', verified, authority.issue('h2.t.svc.cluster.local')],
    ['one that is too old', verified, authority.issue(serverName, { isExpired: true })],
    ['one that no public authority knows', { serverName, trust: 'system' }, good],
    ['any, where the roots are not known', { serverName, trust: 'nobody' }, good],
  ])('not a pod that shows %s: it gets no request', async (_, tls, certificate) => {
    const pod = await startPod(certificate);
    const harness = await startMesh({ endpoints: [pod.endpoint], tls });
    const answer = await ask(harness);
    expect(answer).toMatch(/^HTTP\/1\.1 502 /);
    expect(answer).toMatch(/\r\nweft-reason: UpstreamConnect\r\n/);
    expect(pod.requests).toEqual([]);
  });

  test('another pod is asked when one cannot be believed', async () => {
    const bad = await startPod(new PodAuthority().issue(serverName), { address: '127.0.0.3' });
    const well = await startPod(good);
    const endpoints = [bad.endpoint, well.endpoint];
    const rules = { retryAttempts: 2, retryOn: ['connect-failure' as const] };
    const harness = await startMesh({ endpoints, tls: verified, rules });
    for (let count = 0; count < 6; count += 1) expect((await get(harness)).status).toBe(200);
    expect([bad.requests.length, well.requests.length]).toEqual([0, 6]);
  });

  test('a pod that speaks no TLS gets nothing that it could read', async () => {
    const seen: Buffer[] = [];
    const plain = net.createServer((socket) => {
      socket.on('data', (data) => {
        seen.push(data);
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
      socket.on('error', () => undefined);
    });
    plain.listen(0, '127.0.0.2');
    await once(plain, 'listening');
    stops.push(() => void plain.close());
    const { port } = plain.address() as AddressInfo;
    const endpoints = [{ address: '127.0.0.2', port }];
    const harness = await startMesh({ endpoints, tls: anyone });
    expect(await ask(harness, 'Secret: word')).toMatch(/^HTTP\/1\.1 502 /);
    expect(Buffer.concat(seen).includes('word')).toBe(false);
  });

  test('what was opened while nothing was verified is not used when something is', async () => {
    const pod = await startPod(new PodAuthority().issue(serverName));
    const mesh = { endpoints: [pod.endpoint], alias: '127.0.0.1', scheme: 'https' as const };
    const harness = await startMesh({ ...mesh, tls: anyone });
    expect((await get(harness)).status).toBe(200);
    harness.publish({ ...mesh, tls: verified });
    expect((await get(harness)).status).toBe(502);
    harness.publish({ ...mesh, tls: anyone });
    expect((await get(harness)).status).toBe(200);
    expect(pod.sockets.length).toBe(1);
  });
});

describe('a pod of another node', () => {
  async function meshOf(tls: PodTlsSpec): Promise<{ mesh: TunnelMesh; pod: TlsPod }> {
    const pod = await startPod(good, { address: serverPod.address });
    const endpoints = [{ ...pod.endpoint, node: serverPod.node }];
    const mesh = await TunnelMesh.start({ endpoints, mtls: 'strict', scheme: 'https', tls });
    stops.push(() => {
      mesh.close();
      expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
    });
    return { mesh, pod };
  }

  async function answerOf(mesh: TunnelMesh): Promise<string> {
    const client = await mesh.client();
    return client.send(request('GET /', 'Connection: close')).closed();
  }

  test('is spoken to by the proxy of its node, which verifies it', async () => {
    const { mesh, pod } = await meshOf(verified);
    expect(await answerOf(mesh)).toMatch(/^HTTP\/1\.1 200 [^]*hello$/);
    expect(pod.sockets.map((socket) => sniOf(socket))).toEqual([serverName]);
    expect(mesh.a.dataplane.state().upstreamOpen).toBe(0);
  });

  test('that shows another certificate is told as what it is', async () => {
    const { mesh, pod } = await meshOf({ serverName: 'other.example', trust: verified.trust });
    const answer = await answerOf(mesh);
    expect(answer).toMatch(/^HTTP\/1\.1 502 [^]*weft-reason: UpstreamConnect\r\n/);
    expect(pod.requests).toEqual([]);
  });
});

describe('what holds for plain pods', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('many calls use one connection: %s', async (of) => {
    const pod = await startPod(good, { minVersion: of, maxVersion: of });
    const harness = await startMesh({ endpoints: [pod.endpoint], tls: verified });
    for (let count = 0; count < 20; count += 1) {
      expect(await get(harness)).toEqual({ status: 200, text: 'hello' });
    }
    expect(pod.sockets.map((socket) => socket.getProtocol())).toEqual([of]);
  });

  test.each(['close', 'keep-alive'])('max-connections counts them: connection %s', async (how) => {
    const answer: Answer = (_, response) => {
      response.setHeader('connection', how);
      response.end('hello');
    };
    const pod = await startPod(good, { answer });
    const rules = { shaping: { maxConnections: 1 } };
    const harness = await startMesh({ endpoints: [pod.endpoint], tls: verified, rules });
    const seen: number[] = [];
    for (let count = 0; count < 4; count += 1) seen.push((await get(harness)).status);
    expect(seen).toEqual([200, 200, 200, 200]);
    expect(pod.sockets.length).toBe(how === 'close' ? 4 : 1);
  });

  test('long bodies pass both ways, byte for byte', async () => {
    const pod = await startPod(good, { answer: (asked, response) => void asked.pipe(response) });
    const harness = await startMesh({ endpoints: [pod.endpoint], tls: verified });
    const body = Buffer.alloc(5 * 1024 * 1024, 'a piece of a long body; ');
    const response = await fetch(`http://127.0.0.1:${harness.port}/`, { method: 'POST', body });
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
  });

  test('an answer that breaks off is no whole one', async () => {
    const answer: Answer = (_, response) => {
      response.write('half');
      setImmediate(() => response.socket?.destroy());
    };
    const pod = await startPod(good, { answer });
    const harness = await startMesh({ endpoints: [pod.endpoint], tls: verified });
    const client = await connectTo(harness.port);
    client.send(request('GET /'));
    expect(await client.closed()).toMatch(/\r\n4\r\nhalf\r\n$/);
    expect(client.errorCode).toBe('ECONNRESET');
  });

  test('an upgraded connection carries bytes both ways, and ends with its client', async () => {
    const pod = await startPod(good);
    pod.server.on('upgrade', (_: IncomingMessage, socket: TLSSocket) => {
      socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.on('data', (data: Buffer) => socket.write(`<${data.toString()}>`));
      socket.on('end', () => socket.end());
    });
    const harness = await startMesh({ endpoints: [pod.endpoint], tls: verified });
    const client = await connectTo(harness.port);
    client.send(request('GET /', 'Connection: upgrade', 'Upgrade: echo'));
    await client.see('\r\n\r\n');
    client.send('word');
    await client.see('<word>');
    client.end();
    await client.closed();
    expect(harness.dataplane.state().exchanges).toBe(0);
  });

  test('a pod that takes no connection is not waited for beyond `connect-timeout`', async () => {
    const mute = net.createServer(() => undefined);
    mute.listen(0, '127.0.0.2');
    await once(mute, 'listening');
    stops.push(() => void mute.close());
    const { port } = mute.address() as AddressInfo;
    const endpoints = [{ address: '127.0.0.2', port }];
    const rules = { connectTimeoutMs: 100 };
    const harness = await startMesh({ endpoints, tls: anyone, rules });
    expect(await ask(harness)).toMatch(/^HTTP\/1\.1 504 [^]*TimeoutConnect/);
    expect(harness.dataplane.state().upstreamOpen).toBe(0);
  });
});
