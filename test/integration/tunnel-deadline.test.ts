// A deadline that travels: the caller's proxy tells the pod's how much of the total time is left,
// and that one gives up by itself when it is over. What a client writes under that name is deleted;
// whether the service or its caller has set the time decides whether it says anything of the pod.
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttemptFacts, ExchangeFacts } from '../../src/dataplane/index.ts';
import type { HttpRequestHead } from '../../src/dataplane/http1/request-head.ts';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { eventually, request } from '../support/dataplane-sockets.ts';
import { Http2Caller } from '../support/http2-client.ts';
import { SettingsPod } from '../support/settings-pod.ts';
import { dialTunnel } from '../support/tunnel-client.ts';
import {
  clientPod,
  nodeAddress,
  serverPod,
  spiffe,
  TunnelMesh,
} from '../support/tunnel-mesh.ts';

let pod: SettingsPod;
let mesh: TunnelMesh;
let attempts: AttemptFacts[] = [];
let heads: HttpRequestHead[] = [];
let ejected: unknown[] = [];
let ejectedThere: unknown[] = [];
let callers: Http2Caller[] = [];
let sockets: TLSSocket[] = [];

beforeEach(async () => {
  pod = await SettingsPod.start(serverPod.address, []);
});

afterEach(async () => {
  for (const one of callers) one.session.destroy();
  for (const one of sockets) one.destroy();
  for (const { dataplane } of [mesh.a, mesh.b]) {
    await eventually(() => dataplane.state().exchanges === 0, 'all exchanges ended');
  }
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
  attempts = [];
  heads = [];
  ejected = [];
  ejectedThere = [];
  callers = [];
  sockets = [];
});

async function start(rules: Partial<ServiceRules> = {}): Promise<void> {
  const observer = {
    attemptFinished: (_: unknown, attempt: AttemptFacts) => attempts.push(attempt),
    endpointEjected: (facts: unknown) => ejected.push(facts),
  };
  const there = {
    attemptFinished: observer.attemptFinished,
    endpointEjected: (facts: unknown) => ejectedThere.push(facts),
    // An exchange's request is the head that has come.
    policyDecided: ({ request: head }: ExchangeFacts) => heads.push(head as HttpRequestHead),
  };
  const endpoints = [{ ...pod.endpoint, node: 'node-b' }];
  const world = { endpoints, rules, scheme: 'h2c' } as const;
  mesh = await TunnelMesh.start(world, { observer }, { observer: there });
  const { address, port } = pod.endpoint;
  const slot = ['endpoint', `${address}:${port}`, 1] as const;
  for (const node of [mesh.a, mesh.b]) node.slots.apply({ set: [slot], freed: [] });
}

/** What the pod's proxy was told of the request that it served last. */
function toldThere(): string | undefined {
  return heads.at(-1)?.fields.get('weft-tunnel-deadline');
}

async function get(...lines: string[]): Promise<string> {
  const peer = await mesh.client();
  peer.send(request('GET /', ...lines));
  return peer.see('\r\n\r\n');
}

function call(headers: Readonly<Record<string, string>>) {
  const way = { host: nodeAddress['node-a'], localAddress: clientPod.address };
  const caller = new Http2Caller(mesh.a.port, {}, way);
  callers.push(caller);
  return caller.open({
    ':method': 'POST',
    ':path': '/a.B/C',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
}

/** A request by hand, as another node's proxy would write it; all of the answer's head. */
function tell(...lines: string[]): Promise<string> {
  const credential = mesh.authority.credential(spiffe('t/client'), 'node-a');
  const by = { port: mesh.tunnelPort, credential, trustPem: mesh.authority.rootPem };
  const socket = dialTunnel(by);
  sockets.push(socket);
  const { address, port } = pod.endpoint;
  const fields = [
    'weft-tunnel-service: t/h1:80',
    `weft-tunnel-pod: ${address}:${port}`,
    ...lines,
  ];
  let text = '';
  socket.on('error', () => undefined);
  return new Promise((done) => {
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1');
      if (text.startsWith('ok ') && text.includes('\n')) {
        text = '';
        socket.write(request('GET /', ...fields));
      }
      if (text.includes('\r\n\r\n')) done(text);
    });
    socket.on('close', () => done(text));
  });
}

describe('what is told', () => {
  const ids = ['x-request-id: 1', `traceparent: 00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`];
  test.each([
    ['ids of the proxy', []],
    ['an id of the client', ids.slice(0, 1)],
    ['both of the client', ids],
  ])('the time of the service, beside %s', async (_, lines) => {
    await start({ timeoutMs: 60_000 });
    expect(await get(...lines)).toMatch(/^HTTP\/1\.1 200 /);
    const left = Number(toldThere());
    expect(left % 25).toBe(0);
    expect(left).toBeGreaterThan(50_000);
    expect(left).toBeLessThanOrEqual(60_000);
    const { headers } = pod.requests[0] ?? {};
    expect(Object.keys(headers ?? {}).filter((name) => name.startsWith('weft-'))).toEqual([]);
    if (lines.length === 2) expect(headers?.['x-request-id']).toBe('1');
  });

  test('that of the caller, as such', async () => {
    await start({ timeoutMs: 60_000 });
    const { trailers } = await call({ 'grpc-timeout': '50S' }).end('message').reply;
    expect(trailers['grpc-status']).toBe('0');
    expect(toldThere()).toMatch(/^(?:49[0-9]{3}|50000) caller$/);
  });

  test('nothing where there is none, and never what a client writes', async () => {
    await start();
    expect(await get('weft-tunnel-deadline: 1')).toMatch(/^HTTP\/1\.1 200 /);
    expect(toldThere()).toBeUndefined();
  });
});

describe('what is done there', () => {
  test.each([
    ['weft-tunnel-deadline: 50', 1],
    ['weft-tunnel-deadline: 50 caller', 0],
  ])('%s: it gives up by itself', async (line, ejections) => {
    await start();
    pod.answer = () => undefined;
    // Five failures of five are too many.
    for (const text of await Promise.all(Array.from({ length: 5 }, () => tell(line)))) {
      expect(text).toMatch(/^HTTP\/1\.1 504 /);
      expect(text).toContain('weft-tunnel-reason: TimeoutRequest\r\n');
      expect(text).not.toContain('weft-tunnel-unsent');
    }
    const areGone = (): boolean => pod.requests.every(({ isGone }) => isGone);
    await eventually(areGone, 'the pod is told as well');
    expect(pod.requests.length).toBe(5);
    expect(ejectedThere.length).toBe(ejections);
  });

  test('a request that comes too late is not shown to the pod', async () => {
    await start();
    const text = await tell('weft-tunnel-deadline: 0');
    expect(text).toContain('weft-tunnel-reason: TimeoutRequest\r\n');
    expect(text).toContain('weft-tunnel-unsent: 1\r\n');
    expect(pod.requests).toEqual([]);
  });

  const bad = ['soon', '', '-1', '1e3', '1.5', '50 service', '50  caller', '9999999999'];
  test.each(bad)('a time that is none is no request: "%s"', async (said) => {
    await start();
    const text = await tell(`weft-tunnel-deadline: ${said}`);
    expect(text).toContain('weft-tunnel-reason: BadRequestSyntax\r\n');
  });

  test('two times are no request', async () => {
    await start();
    const line = 'weft-tunnel-deadline: 50';
    expect(await tell(line, line)).toContain('weft-tunnel-reason: BadRequestSyntax\r\n');
  });
});

describe('what a caller is told', () => {
  test('504 when the time of the service is over', async () => {
    await start({ timeoutMs: 600 });
    // The way is there: no handshake takes of the time.
    expect(await get()).toMatch(/^HTTP\/1\.1 200 /);
    pod.answer = () => undefined;
    expect(await get()).toMatch(/^HTTP\/1\.1 504 [^]*weft-reason: TimeoutRequest\r\n/);
    await eventually(() => pod.requests[1]?.isGone === true, 'the pod is told as well');
  });

  test('and the pod fails at its own proxy too, whichever of the two was first', async () => {
    await start({ timeoutMs: 125 });
    pod.answer = () => undefined;
    for (const answer of await Promise.all(Array.from({ length: 5 }, () => get()))) {
      expect(answer).toMatch(/^HTTP\/1\.1 504 /);
    }
    await eventually(() => ejectedThere.length === 1, 'five failures of five are too many');
  });

  test('a client that merely leaves says nothing of the pod', async () => {
    await start({ timeoutMs: 60_000 });
    pod.answer = () => undefined;
    const peers = await Promise.all(Array.from({ length: 8 }, () => mesh.client()));
    for (const peer of peers) peer.send(request('GET /'));
    await eventually(() => pod.requests.length === 8, 'all are at the pod');
    for (const { socket } of peers) socket.destroy();
    await eventually(() => pod.requests.every(({ isGone }) => isGone), 'all are gone there');
    expect([...ejected, ...ejectedThere]).toEqual([]);
  });

  test('DEADLINE_EXCEEDED when his own is, and no pod is ejected for it', async () => {
    await start();
    pod.answer = () => undefined;
    const calls = Array.from({ length: 12 }, () => call({ 'grpc-timeout': '60m' }).end('x').reply);
    for (const { headers } of await Promise.all(calls)) {
      expect(headers).toMatchObject({ 'grpc-status': '4', 'weft-reason': 'TimeoutRequest' });
    }
    expect(attempts.every(({ isCancelled }) => isCancelled)).toBe(true);
    expect(ejected).toEqual([]);
  });
});
