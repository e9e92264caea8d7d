// Calls of gRPC between two nodes: inside the tunnel they travel as HTTP/1.1, and both ends speak
// HTTP/2. Messages, trailers, streams, cancellation and the other proxy's refusals pass as on one
// node; the caller is judged, where the pod is, by the certificate of its workload.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/dataplane-sockets.ts';
import { Http2Caller } from '../support/http2-client.ts';
import type { Http2Call } from '../support/http2-client.ts';
import { Http2Pod } from '../support/http2-pod.ts';
import { clientPod, nodeAddress, otherPod, serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';
import type { TestPod, WorldOptions } from '../support/tunnel-mesh.ts';

let pod: Http2Pod;
let mesh: TunnelMesh;
const callers: Http2Caller[] = [];

async function start(world: Partial<WorldOptions> = {}): Promise<void> {
  const endpoints = [{ ...pod.endpoint, node: 'node-b' }];
  mesh = await TunnelMesh.start({ endpoints, scheme: 'h2c', ...world });
}

function caller(from: TestPod = clientPod): Http2Caller {
  const way = { host: nodeAddress['node-a'], localAddress: from.address };
  const made = new Http2Caller(mesh.a.port, {}, way);
  callers.push(made);
  return made;
}

function call(one: Http2Caller, path: string): Http2Call {
  return one.open({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
}

beforeEach(async () => {
  pod = await Http2Pod.start({}, serverPod.address);
});

afterEach(async () => {
  for (const one of callers.splice(0)) one.session.destroy();
  for (const { dataplane } of [mesh.a, mesh.b]) {
    await eventually(() => dataplane.state().exchanges === 0, 'all exchanges ended');
    expect(dataplane.state()).toMatchObject({ bufferedBytes: 0 });
  }
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

describe('calls between nodes', () => {
  test('a unary call comes with its metadata and goes with its trailers', async () => {
    await start();
    const one = call(caller(), '/shop.Cart/Get').end('message');
    const there = await pod.accept();
    await there.ended;
    expect(there.text).toBe('message');
    expect(there.headers).toMatchObject({
      ':method': 'POST',
      ':path': '/shop.Cart/Get',
      'content-type': 'application/grpc',
      te: 'trailers',
      'x-forwarded-for': clientPod.address,
    });
    there.answer('reply', { 'content-type': 'application/grpc' }, { 'grpc-status': '0' });
    const reply = await one.reply;
    expect(reply).toMatchObject({ status: 200, body: 'reply', resetCode: 0 });
    expect(reply.trailers['grpc-status']).toBe('0');
    expect(mesh.a.plain).toEqual([]);
  });

  test('both sides stream at the same time', async () => {
    await start();
    const chat = call(caller(), '/chat.Room/Talk').send('hello');
    const there = await pod.accept();
    there.stream.respond({ ':status': 200 }, { waitForTrailers: true });
    there.stream.on('wantTrailers', () => there.stream.sendTrailers({ 'grpc-status': '0' }));
    for (const word of ['one', 'two', 'three']) {
      chat.send(word);
      await eventually(() => there.text.endsWith(word), `${word} at the pod`);
      there.stream.write(word);
      await eventually(() => chat.text.endsWith(word), `${word} at the client`);
    }
    chat.end();
    await there.ended;
    there.stream.end();
    const reply = await chat.reply;
    expect(reply).toMatchObject({ body: 'onetwothree', resetCode: 0 });
    expect(reply.trailers['grpc-status']).toBe('0');
  });

  test('a message of 16 MB passes both ways', async () => {
    await start();
    const message = 'm'.repeat(16 << 20);
    const one = call(caller(), '/big.Blob/Echo').end(message);
    const there = await pod.accept();
    await there.ended;
    expect(there.text.length).toBe(message.length);
    there.answer(message, {}, { 'grpc-status': '0' });
    const reply = await one.reply;
    expect(reply.body === message).toBe(true);
    expect(reply.trailers['grpc-status']).toBe('0');
  });

  test('a caller that cancels is gone for the pod', async () => {
    await start();
    const one = call(caller(), '/chat.Room/Talk').send('hello');
    const there = await pod.accept();
    one.stream.close(8);
    expect(await there.closed).not.toBe(0);
  });

  const answering = ['answers', 'is silent'];
  test.each(answering)('a stream ends with its route: the pod %s', async (kind) => {
    await start({ policy: 'enforce', allowedPath: '/chat\\.Room/.*' });
    const one = call(caller(), '/chat.Room/Talk').send('hello');
    const there = await pod.accept();
    if (kind === 'answers') {
      there.stream.respond({ ':status': 200 });
      there.stream.write('welcome');
      await eventually(() => one.text === 'welcome', 'the first message');
    }
    const endpoints = [{ ...pod.endpoint, node: 'node-b' }];
    const world = { endpoints, scheme: 'h2c', policy: 'enforce' } as const;
    await mesh.publish({ ...world, allowedPath: '/chat\\.Room/Listen' });
    const { headers, trailers } = await one.reply;
    const status = trailers['grpc-status'] ?? headers['grpc-status'];
    expect(status).toBe(kind === 'answers' ? '14' : '7');
    expect(await there.closed).not.toBe(0);
  });

  test('a call goes on while its pod leaves', async () => {
    await start({ policy: 'enforce', allowedPath: '/chat\\.Room/.*' });
    const one = call(caller(), '/chat.Room/Talk').send('hello');
    const there = await pod.accept();
    there.stream.respond({ ':status': 200 });
    there.stream.write('welcome');
    await eventually(() => one.text === 'welcome', 'the first message');
    await mesh.publish({
      endpoints: [],
      scheme: 'h2c',
      policy: 'enforce',
      allowedPath: '/chat\\.Room/.*',
    });
    there.stream.end(' and farewell');
    const { body, resetCode } = await one.reply;
    expect([body, resetCode]).toEqual(['welcome and farewell', 0]);
  });

  test('the pod judges the caller by its certificate, method by method', async () => {
    await start({ policy: 'enforce', allowedPath: '/shop\\.Cart/Get' });
    const one = caller();
    const allowed = call(one, '/shop.Cart/Get').end('x');
    (await pod.accept()).answer('', {}, { 'grpc-status': '0' });
    expect((await allowed.reply).trailers['grpc-status']).toBe('0');
    const refusals = [
      [one, '/shop.Cart/Drop', 'RouteNotAllowed'],
      [caller(otherPod), '/shop.Cart/Get', 'SourceNotAllowed'],
    ] as const;
    for (const [by, path, reason] of refusals) {
      const { headers, status } = await call(by, path).end('x').reply;
      expect(status).toBe(200);
      expect(headers).toMatchObject({ 'grpc-status': '7', 'weft-reason': reason });
    }
  });
});
