// Calls of gRPC through the data plane: refusals in the words of gRPC (contract §4), deadlines,
// policy by `/package.Service/Method`, statuses that are counted. The wire format is written by
// hand; the pods are raw sockets that speak HTTP/1.1, which carries trailers as well.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttemptFacts, ExchangeFacts } from '../../src/dataplane/index.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness, HarnessOptions } from '../support/dataplane-harness.ts';
import { eventually, freePort, RawUpstream } from '../support/dataplane-sockets.ts';
import { Http2Caller } from '../support/http2-client.ts';
import type { Http2Call, Http2Reply } from '../support/http2-client.ts';

let upstream: RawUpstream;
let harness: Harness;
let caller: Http2Caller;
let finished: ExchangeFacts[] = [];

async function start(options: Partial<HarnessOptions> = {}): Promise<void> {
  caller?.session.destroy();
  harness?.dataplane.close();
  finished = [];
  const exchangeFinished = (facts: ExchangeFacts): unknown => finished.push(facts);
  const observer = { exchangeFinished };
  harness = await startHarness({ endpoints: [upstream.endpoint], observer, ...options });
  caller = new Http2Caller(harness.port);
}

beforeEach(async () => {
  upstream = await RawUpstream.start();
  await start();
});

afterEach(async () => {
  caller.session.destroy();
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  expect(dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 0 });
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  upstream.close();
  expect(dataplane.state().deadlines).toBe(0);
});

/** A message with its five bytes in front. */
function message(text: string): string {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return head.toString('latin1') + text;
}

function call(path: string, headers: Readonly<Record<string, string>> = {}): Http2Call {
  return caller.open({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc+proto',
    te: 'trailers',
    ...headers,
  });
}

function ask(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Http2Reply> {
  return call(path, headers).end(message('hi')).reply;
}

/** What a gRPC library reads of an answer: trailers-only answers have it in their head. */
function statusOf(reply: Http2Reply): unknown {
  return reply.trailers['grpc-status'] ?? reply.headers['grpc-status'];
}

const podHead =
  'HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n';

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

describe('calls', () => {
  test('a unary call passes with its metadata, and its trailers come back', async () => {
    upstream.received = (peer, text) => {
      if (!text.endsWith('0\r\n\r\n')) return;
      const trailers = 'grpc-status: 5\r\ngrpc-message: no%20\r\n';
      peer.send(`${podHead}${chunk(message('hello'))}0\r\n${trailers}\r\n`);
    };
    const reply = await ask('/shop.Cart/Get', { 'x-user': 'u1', 'grpc-timeout': '5S' });
    expect(reply).toMatchObject({ status: 200, body: message('hello'), resetCode: 0 });
    expect(reply.trailers).toMatchObject({ 'grpc-status': '5', 'grpc-message': 'no%20' });
    const text = upstream.connections[0]?.text ?? '';
    expect(text).toMatch(/^POST \/shop\.Cart\/Get HTTP\/1\.1\r\n/);
    for (const line of ['te: trailers', 'x-user: u1', 'grpc-timeout: 5S']) {
      expect(text).toContain(`\r\n${line}\r\n`);
    }
    expect(finished[0]?.answer).toMatchObject({ protocol: 'http/2', grpcStatus: 5 });
  });

  test('both sides stream at the same time', async () => {
    const chat = call('/chat.Room/Talk');
    const pod = await upstream.accept();
    pod.send(podHead);
    await chat.head;
    for (const word of ['one', 'two', 'three']) {
      chat.send(message(word));
      await pod.see(word);
      pod.send(chunk(message(word)));
      await eventually(() => chat.text.endsWith(word), word);
    }
    chat.end();
    await pod.see('0\r\n\r\n');
    pod.send('0\r\ngrpc-status: 0\r\n\r\n');
    const reply = await chat.reply;
    expect(reply.trailers['grpc-status']).toBe('0');
    expect(finished[0]?.answer.grpcStatus).toBe(0);
  });

  test('a caller that cancels is gone for the pod at once', async () => {
    const one = call('/chat.Room/Talk').send(message('x'));
    const pod = await upstream.accept();
    await pod.see('x');
    one.stream.close(8);
    await pod.closed();
    await eventually(() => finished.length === 1, 'the end of the exchange');
    expect(finished[0]?.answer.grpcStatus).toBe('unknown');
  });
});

describe('refusals', () => {
  function expectRefusal(reply: Http2Reply, status: string, reason: string): void {
    expect(reply).toMatchObject({ status: 200, body: '', resetCode: 0 });
    expect(reply.headers).toMatchObject({
      'content-type': 'application/grpc',
      'grpc-status': status,
      'weft-reason': reason,
    });
    expect(reply.headers['grpc-message']).toContain(`(${reason})`);
    expect(String(reply.headers['grpc-message'])).toMatch(/^[\x20-\x7e]+$/);
  }

  test('a name that no service has is UNIMPLEMENTED', async () => {
    expectRefusal(await ask('/a.B/C', { ':authority': 'no.t.mesh' }), '12', 'UnknownService');
  });

  test('no endpoint is UNAVAILABLE', async () => {
    await start({ endpoints: [] });
    expectRefusal(await ask('/a.B/C'), '14', 'NoEndpoints');
    expect(finished[0]).toMatchObject({ status: 200, reason: 'NoEndpoints' });
    expect(finished[0]?.answer.grpcStatus).toBe(14);
  });

  test('traffic that was stopped is UNAVAILABLE', async () => {
    await start({ rules: { isStopped: true } });
    expectRefusal(await ask('/a.B/C'), '14', 'Stopped');
  });

  test('weights that are all zero are UNAVAILABLE', async () => {
    await start({ weight: 0 });
    expectRefusal(await ask('/a.B/C'), '14', 'NoBackendWeight');
  });

  test('a pod that refuses connections is UNAVAILABLE', async () => {
    const port = await freePort('127.0.0.1');
    await start({ endpoints: [{ address: '127.0.0.1', port }] });
    expectRefusal(await ask('/a.B/C'), '14', 'UpstreamConnect');
  });

  test('a pod that resets is UNAVAILABLE', async () => {
    upstream.received = (peer) => peer.reset();
    expectRefusal(await ask('/a.B/C'), '14', 'UpstreamReset');
  });

  test('a pod that speaks nonsense is UNAVAILABLE', async () => {
    upstream.received = (peer) => void peer.send('nonsense\r\n\r\n');
    expectRefusal(await ask('/a.B/C'), '14', 'UpstreamProtocol');
  });

  test('the caller waits no longer than grpc-timeout says', async () => {
    await start({ rules: { timeoutMs: 60_000 } });
    expectRefusal(await ask('/a.B/C', { 'grpc-timeout': '80m' }), '4', 'TimeoutRequest');
  });

  test('a pod is not ejected for callers that do not wait', async () => {
    const ejected: unknown[] = [];
    const attempts: AttemptFacts[] = [];
    const observer = {
      endpointEjected: (facts: unknown) => ejected.push(facts),
      attemptFinished: (_: unknown, attempt: AttemptFacts) => attempts.push(attempt),
    };
    const other = await RawUpstream.start('127.0.0.2');
    await start({ endpoints: [upstream.endpoint, other.endpoint], observer });
    const impatient = { 'grpc-timeout': '5m' };
    const asked = Array.from({ length: 40 }, () => ask('/a.B/C', impatient));
    for (const reply of await Promise.all(asked)) expectRefusal(reply, '4', 'TimeoutRequest');
    expect(attempts.every(({ isCancelled }) => isCancelled)).toBe(true);
    expect(ejected).toEqual([]);
    other.close();
  });

  test("a longer grpc-timeout does not lengthen the service's", async () => {
    await start({ rules: { timeoutMs: 80 } });
    expectRefusal(await ask('/a.B/C', { 'grpc-timeout': '1H' }), '4', 'TimeoutRequest');
  });

  test('a message over the limit of bodies is RESOURCE_EXHAUSTED', async () => {
    await start({ rules: { maxRequestBodyBytes: 100 } });
    const one = call('/a.B/C').send(message('x'.repeat(200)));
    expectRefusal(await one.reply, '8', 'BadRequestBodyTooLarge');
  });

  test('memory over the budget is RESOURCE_EXHAUSTED', async () => {
    await start({ limits: { bufferedBytesMax: -1 } });
    expectRefusal(await ask('/a.B/C'), '8', 'Shedding');
  });

  test('a malformed call is an error of the protocol', async () => {
    const reply = await ask('/a/../b');
    expect(reply).toMatchObject({ status: 0, resetCode: 1 });
  });

  test('an answer that is broken off says so in its trailers', async () => {
    const one = call('/a.B/C').end(message('x'));
    const pod = await upstream.accept();
    pod.send(`${podHead}${chunk(message('half'))}`);
    await eventually(() => one.text.endsWith('half'), 'half an answer');
    pod.reset();
    const reply = await one.reply;
    expect(reply).toMatchObject({ status: 200, resetCode: 0 });
    expect(statusOf(reply)).toBe('14');
    expect(finished[0]?.answer.grpcStatus).toBe(14);
  });

  test('grpc-web is answered as any HTTP', async () => {
    await start({ endpoints: [] });
    const reply = await ask('/a.B/C', { 'content-type': 'application/grpc-web+proto' });
    expect(reply.status).toBe(503);
    expect(reply.body).toContain('(NoEndpoints)');
  });
});

describe('policy', () => {
  test('a stream that a new table does not allow ends at once', async () => {
    const pod = await RawUpstream.start('127.0.0.2');
    await start({ endpoints: [pod.endpoint], allowedPath: '/chat\\.Room/.*' });
    const [chat, other] = [call('/chat.Room/Talk'), call('/chat.Room/Listen')];
    for (const peer of [await pod.accept(), await pod.accept()]) {
      peer.send(`${podHead}${chunk(message('welcome'))}`);
    }
    for (const one of [chat, other]) {
      await eventually(() => one.text.endsWith('welcome'), 'the first message');
    }
    harness.publish({ endpoints: [pod.endpoint], allowedPath: '/chat\\.Room/Listen' });
    const reply = await chat.reply;
    expect(statusOf(reply)).toBe('7');
    expect(reply.resetCode).toBe(0);
    expect(other.stream.closed).toBe(false);
    pod.close();
    await other.reply;
  });

  test('a stream whose answer has not begun ends as well', async () => {
    const pod = await RawUpstream.start('127.0.0.2');
    await start({ endpoints: [pod.endpoint], allowedPath: '/chat\\.Room/.*' });
    const [talk, listen] = [call('/chat.Room/Talk'), call('/chat.Room/Listen')];
    talk.send(message('one'));
    listen.send(message('two'));
    const peers = [await pod.accept(), await pod.accept()];
    const seen = peers.map((peer) => peer.until(() => /one|two/.test(peer.text), 'a message'));
    await Promise.all(seen);
    harness.publish({ endpoints: [pod.endpoint], allowedPath: '/chat\\.Room/Listen' });
    expect(statusOf(await talk.reply)).toBe('7');
    expect(listen.stream.closed).toBe(false);
    pod.close();
    await listen.reply;
  });

  test('permissions by method of a service hold, on one connection', async () => {
    // The pods of the tests are 127.0.0.2: the address is a workload, as enforcing needs it.
    const pod = await RawUpstream.start('127.0.0.2');
    pod.received = (peer, text) => {
      if (!text.endsWith('0\r\n\r\n')) return;
      peer.send(`${podHead}0\r\ngrpc-status: 0\r\n\r\n`);
    };
    await start({ endpoints: [pod.endpoint], allowedPath: '/shop\\.Cart/(Get|List)' });
    expect(statusOf(await ask('/shop.Cart/Get'))).toBe('0');
    const denied = await ask('/shop.Cart/Drop');
    expect(statusOf(denied)).toBe('7');
    expect(denied.headers['weft-reason']).toBe('RouteNotAllowed');
    expect(statusOf(await ask('/shop.Cart/List'))).toBe('0');
    pod.close();
  });
});
