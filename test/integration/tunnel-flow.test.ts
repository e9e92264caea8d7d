// What passes through a tunnel passes as on one node: bodies under back-pressure, cancellation,
// upgrades, and failures that tell what the pod may have got.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  eventually,
  freePort,
  okAnswer,
  RawUpstream,
  request,
} from '../support/dataplane-sockets.ts';
import { carriedOn, carriers, serverPod, TunnelMesh, worldTable } from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;

const pieceBytes = 64 * 1024;
const longBytes = 100 * 1024 * 1024;

/** A piece that is no other piece's. */
function piece(index: number): Buffer {
  const bytes = Buffer.alloc(pieceBytes, index % 251);
  bytes.writeUInt32BE(index, 0);
  return bytes;
}

type Sender = { readonly socket: Socket };

/** Sends the long body as fast as it is taken; the answer is its digest. */
function sendLong({ socket }: Sender): Promise<string> {
  const hash = createHash('sha256');
  let index = 0;
  return new Promise((resolve) => {
    const more = (): void => {
      while (index * pieceBytes < longBytes) {
        const bytes = piece(index);
        index += 1;
        hash.update(bytes);
        if (socket.write(bytes)) continue;
        socket.once('drain', more);
        return;
      }
      resolve(hash.digest('hex'));
    };
    more();
  });
}

function receiveLong({ socket }: Sender, skip: number): Promise<string> {
  const hash = createHash('sha256');
  let left = longBytes;
  let skipped = skip;
  return new Promise((resolve) => {
    socket.on('data', (data: Buffer) => {
      const from = Math.min(skipped, data.length);
      skipped -= from;
      hash.update(data.subarray(from, from + left));
      left -= data.length - from;
      if (left <= 0) resolve(hash.digest('hex'));
    });
  });
}

describe.each(carriers)('on %s', (how) => {
  beforeEach(async () => {
    pod = await RawUpstream.start(serverPod.address);
    const world = { endpoints: [{ ...pod.endpoint, node: 'node-b' }] };
    mesh = await TunnelMesh.start(world, await carriedOn(how));
  });

  afterEach(async () => {
    for (const peer of mesh.peers) peer.socket.destroy();
    for (const { dataplane } of [mesh.a, mesh.b]) {
      await eventually(() => dataplane.state().exchanges === 0, 'all exchanges ended');
      await eventually(() => dataplane.state().bodyBuffers === 0, 'all buffers are back');
      expect(dataplane.state()).toMatchObject({ bufferedBytes: 0 });
    }
    expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
    mesh.close();
    pod.close();
  });

  describe('a long body', () => {
    test('comes through whole, and a slow reader holds it up', async () => {
      const client = await mesh.client();
      client.send(request('GET /long'));
      const upstream = await pod.accept();
      await upstream.see('\r\n\r\n');
      const head = `HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${longBytes}\r\n\r\n`;
      upstream.send(head);
      await client.see('\r\n\r\n');
      client.keepsText = false;
      client.socket.pause();
      const sent = sendLong(upstream);
      const buffered = () =>
        mesh.a.dataplane.state().bufferedBytes + mesh.b.dataplane.state().bufferedBytes;
      await eventually(() => buffered() > 0, 'bytes wait');
      const before = client.receivedBytes;
      // What is in flight is bounded by queues and the kernel, not by the body.
      await eventually(() => upstream.socket.writableLength > 0, 'the pod is held up');
      expect(buffered()).toBeLessThan(4 * 1024 * 1024);
      const received = receiveLong(client, 0);
      expect(before).toBeLessThan(longBytes);
      client.socket.resume();
      expect(await received).toBe(await sent);
    }, 60_000);

    test('of a request comes through whole', async () => {
      const client = await mesh.client();
      client.send(request('POST /long', `Content-Length: ${longBytes}`));
      const upstream = await pod.accept();
      await upstream.see('\r\n\r\n');
      const headBytes = upstream.text.indexOf('\r\n\r\n') + 4;
      expect(upstream.text).toHaveLength(headBytes);
      upstream.keepsText = false;
      const received = receiveLong(upstream, 0);
      const sent = await sendLong(client);
      expect(await received).toBe(sent);
      upstream.send(okAnswer('got it'));
      await client.see('got it');
    }, 60_000);
  });

  describe('a client that leaves', () => {
    test('cancels its request at the pod', async () => {
      const client = await mesh.client();
      client.send(request('GET /slow'));
      const upstream = await pod.accept();
      await upstream.see('\r\n\r\n');
      client.reset();
      await upstream.until(() => upstream.isClosed || upstream.hasEnded, 'the pod is told');
    });

    test('in the middle of its body never has it completed', async () => {
      const client = await mesh.client();
      client.send(`${request('POST /', 'Content-Length: 100')}half`);
      const upstream = await pod.accept();
      await upstream.see('half');
      client.end();
      await upstream.until(() => upstream.isClosed || upstream.hasEnded, 'the pod is told');
      expect(upstream.text).toMatch(/half$/);
    });
  });

  describe('an upgraded connection', () => {
    const upgrade = request('GET /ws', 'Connection: upgrade', 'Upgrade: websocket');
    const switched = 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n';

    test('passes bytes both ways, ends one way at a time, and is judged again', async () => {
      const client = await mesh.client();
      client.send(upgrade);
      const upstream = await pod.accept();
      await upstream.see('\r\n\r\n');
      upstream.send(switched);
      await client.see('\r\n\r\n');
      client.send('ping');
      await upstream.see('ping');
      upstream.send('pong');
      await client.see('pong');
      client.end();
      await upstream.until(() => upstream.hasEnded, 'the end');
      upstream.send('last').end();
      await client.until(() => client.text.endsWith('last') && client.hasEnded, 'the end');
    });

    test('is cut when the destination’s policy closes', async () => {
      const client = await mesh.client();
      client.send(upgrade);
      const upstream = await pod.accept();
      await upstream.see('\r\n\r\n');
      upstream.send(switched);
      await client.see('\r\n\r\n');
      const endpoints = [{ ...pod.endpoint, node: 'node-b' as const }];
      const world = { endpoints, policy: 'enforce', allowedPath: '/x' } as const;
      await mesh.b.publish(worldTable('node-b', world));
      await upstream.until(() => upstream.isClosed || upstream.hasEnded, 'the pod is told');
      await client.closed();
    });
  });

  describe('a pod that', () => {
    test('refuses is the caller’s own 502', async () => {
      const port = await freePort(serverPod.address);
      await mesh.publish({ endpoints: [{ address: serverPod.address, port, node: 'node-b' }] });
      const client = await mesh.client();
      const answer = await client.send(request('GET /')).see('weft:');
      expect(answer).toMatch(/^HTTP\/1\.1 502 /);
      expect(answer).toContain('weft-reason: UpstreamConnect');
      expect(answer).not.toContain('weft-tunnel');
      expect(mesh.a.results('client')).toEqual(['ok']);
    });

    test('resets after a POST is 502, and the POST is sent once', async () => {
      const client = await mesh.client();
      client.send(`${request('POST /', 'Content-Length: 4')}body`);
      const upstream = await pod.accept();
      await upstream.see('body');
      upstream.reset();
      await client.see('weft-reason: UpstreamReset');
      expect(pod.connections).toHaveLength(1);
    });

    test('resets after a GET is asked again', async () => {
      let asked = 0;
      pod.answer = (peer) => {
        asked += 1;
        if (asked === 1) peer.reset();
        else peer.send(okAnswer('second'));
      };
      const client = await mesh.client();
      await client.send(request('GET /')).see('second');
      expect(asked).toBe(2);
    });
  });

  describe('a POST of which the other proxy says that no pod got it', () => {
    /** Known to the caller's node alone: its pod is gone where it was. */
    const gone = { address: '127.0.2.9', port: 8080, node: 'node-b' };

    test('is sent to another endpoint, once, with its body', async () => {
      let received = '';
      pod.received = (peer, text) => {
        received += text;
        if (text.endsWith('body')) peer.send(okAnswer('hello'));
      };
      const here = { ...pod.endpoint, node: 'node-b' };
      await mesh.a.publish(worldTable('node-a', { endpoints: [here, gone] }));
      const client = await mesh.client();
      let posts = 0;
      // Whichever is asked first is chance.
      for (let isRepeated = false; !isRepeated && posts < 100; posts += 1) {
        client.clear();
        await client.send(`${request('POST /', 'Content-Length: 4')}body`).see('hello');
        expect(client.text).toMatch(/^HTTP\/1\.1 200 /);
        isRepeated = mesh.a.exchanges.at(-1)?.facts.attempts === 2;
      }
      expect(mesh.a.exchanges.at(-1)?.facts.attempts).toBe(2);
      expect(received.match(/POST \//g)).toHaveLength(posts);
      expect(mesh.a.results('client')).toEqual(['ok']);
    });

    test('is 503 where there is no other endpoint', async () => {
      await mesh.a.publish(worldTable('node-a', { endpoints: [gone] }));
      const client = await mesh.client();
      client.send(`${request('POST /', 'Content-Length: 4')}body`);
      const answer = await client.see('weft:');
      expect(answer).toMatch(/^HTTP\/1\.1 503 /);
      expect(answer).toContain('weft-reason: TunnelUnavailable');
      expect(pod.connections).toHaveLength(0);
    });
  });

  test('100-continue is relayed', async () => {
    const client = await mesh.client();
    client.send(request('POST /', 'Content-Length: 4', 'Expect: 100-continue'));
    const upstream = await pod.accept();
    await upstream.see('\r\n\r\n');
    upstream.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.see('100 Continue');
    client.send('body');
    await upstream.see('body');
    upstream.send(okAnswer('done'));
    await client.see('done');
  });
});
