// Long bodies by the dozen at the same time, both ways, of which each byte says whose it is: slow
// readers and writers, aborts on either side, kept connections. Read buffers are poisoned when they
// come back, so that nobody can send another exchange's bytes, or bytes that are no longer his,
// without being found out. Everything follows from one seed.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import { eventually } from '../support/dataplane-sockets.ts';

const clientCount = 12;
const requestsPerClient = 4;
/** More than the kernel buffers for a reader that is slow. */
const bytesMax = 12_000_000;

const endings: (() => unknown)[] = [];

afterEach(() => {
  for (const end of endings.splice(0)) end();
});

/** `id` again and again: no stretch of it can be taken for another body's. */
function bodyOf(id: string, bytes: number): Buffer {
  return Buffer.alloc(bytes, `<${id}>`);
}

/** Where `text` first differs from the body of `id`; undefined where it does not. */
function faultIn(id: string, received: Buffer): string | undefined {
  const due = bodyOf(id, received.length);
  if (due.equals(received)) return undefined;
  const at = received.findIndex((byte, index) => byte !== due[index]);
  return `${id}: byte ${at} begins ${received.subarray(at, at + 40).toString('latin1')}`;
}

type Play = { readonly random: Random; readonly faults: string[]; whole: number };

/** `/id/bytes`: answers with a body of that length, in one way or another; or breaks it off. */
function answer(play: Play, request: http.IncomingMessage, response: http.ServerResponse): void {
  const { random, faults } = play;
  const [, id = '', length = '0'] = request.url?.split('/') ?? [];
  const pieces: Buffer[] = [];
  request.on('error', () => undefined);
  request.on('data', (piece: Buffer) => {
    pieces.push(piece);
    if (random() < 0.02) {
      request.pause();
      setTimeout(() => request.resume(), 20 * random());
    }
  });
  const isEarly = random() < 0.2;
  const bytes = Number(length);
  const respond = (): void => {
    response.writeHead(200, random() < 0.5 ? { 'content-length': bytes } : {});
    const body = bodyOf(id, bytes);
    const isCut = random() < 0.15;
    response.write(body.subarray(0, bytes / 2));
    if (isCut) setTimeout(() => response.destroy(), 10 * random());
    else response.end(body.subarray(bytes / 2));
  };
  if (isEarly) respond();
  request.on('end', () => {
    const fault = faultIn(id, Buffer.concat(pieces));
    if (fault !== undefined) faults.push(`request ${fault}`);
    if (!isEarly) respond();
  });
}

async function startPod(play: Play): Promise<{ address: string; port: number }> {
  const server = http.createServer((request, response) => answer(play, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endings.push(() => (server.closeAllConnections(), server.close()));
  return { address: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** Resolves when it is over, however it ended. */
function exchange(play: Play, port: number, agent: http.Agent, id: string): Promise<void> {
  const { random, faults } = play;
  const bytes = Math.floor(bytesMax * random() * random());
  const sentBytes = random() < 0.5 ? 0 : Math.floor(bytesMax * random() * random());
  const isSlow = random() < 0.4;
  const leaves = random() < 0.15;
  return new Promise((resolve) => {
    const request = http.request({
      port,
      agent,
      method: sentBytes > 0 ? 'POST' : 'GET',
      path: `/${id}/${bytes}`,
      headers: { host: 'h1.t.mesh', ...(random() < 0.5 ? { 'content-length': sentBytes } : {}) },
    });
    request.on('error', () => resolve());
    request.on('close', () => resolve());
    request.on('response', (response) => {
      const pieces: Buffer[] = [];
      response.on('error', () => undefined);
      response.on('data', (piece: Buffer) => {
        pieces.push(piece);
        if (leaves && random() < 0.2) request.destroy();
        if (!isSlow) return;
        response.pause();
        setTimeout(() => response.resume(), 3 * random());
      });
      response.on('close', () => {
        if (response.statusCode !== 200) return;
        const fault = faultIn(id, Buffer.concat(pieces));
        if (fault !== undefined) faults.push(`answer ${fault}`);
        if (response.complete) play.whole += 1;
      });
    });
    request.end(sentBytes > 0 ? bodyOf(id, sentBytes) : undefined);
  });
}

async function playClient(play: Play, harness: Harness, name: string): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  endings.push(() => agent.destroy());
  for (let n = 0; n < requestsPerClient; n += 1) {
    await exchange(play, harness.port, agent, `${name}.${n}`);
  }
  agent.destroy();
}

describe('long bodies', { timeout: 60_000 }, () => {
  test.each([1, 2, 3])('seed %i', async (seed) => {
    const play: Play = { random: seededRandom(seed), faults: [], whole: 0 };
    const harness = await startHarness({ endpoints: [await startPod(play)] });
    endings.push(() => harness.dataplane.close());
    const names = Array.from({ length: clientCount }, (_, index) => `c${index}`);
    await Promise.all(names.map((name) => playClient(play, harness, name)));
    expect(play.faults).toEqual([]);
    expect(play.whole).toBeGreaterThan(clientCount);
    const { dataplane } = harness;
    await eventually(() => dataplane.state().connections === 0, 'all connections closed');
    expect(dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 0, bodyBuffers: 0 });
    expect(harness.inFlight()).toBe(0);
    expect(harness.bugs).toEqual([]);
  });
});
