// Slow clients by the hundred, in each phase of a request, against a data plane in a process of its
// own with short time-outs: each of them ends by itself as it should, memory stays bounded, and a
// client that means well is answered all the time. Counts are asserted, figures are printed.
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataplaneProcess } from '../support/dataplane-process.ts';
import { connectTo, okAnswer, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';

const attackers = 500;
const bufferedBytesMax = 256 * 1024;
/** 500 slow connections may cost what their buffers hold, and this much for themselves. */
const ownBytesMax = 48 * 1024 * 1024;
const trickleMs = 60;
const limitMs = 60_000;
/** The time-outs below, and what a busy machine adds. */
const quietMs = 25_000;
/** More than the kernel takes for a client that does not read: 4 MB here. */
const longAnswerBytes = 6 * 1024 * 1024;
/** Each of them costs the kernel megabytes, which are no memory of the proxy, but the machine's. */
const unreadAttackers = 120;

const limits = {
  connectionsMax: 2 * attackers,
  headTimeoutMs: 2_000,
  bodyTimeoutMs: 2_000,
  idleTimeoutMs: 3_000,
  keepAliveTimeoutMs: 3_000,
};

let mesh: DataplaneProcess;
let pod: net.Server;
let peers: Peer[] = [];

beforeEach(async () => {
  pod = net.createServer({ allowHalfOpen: true, noDelay: true }, playPod);
  await new Promise<void>((done) => pod.listen(0, '127.0.0.2', done));
  const address = pod.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const endpoints = [{ address: address.address, port: address.port }];
  mesh = await DataplaneProcess.start({ endpoints, limits });
});

afterEach(async () => {
  for (const peer of peers) peer.socket.destroy();
  peers = [];
  await mesh.close();
  pod.close();
});

const piece = 'x'.repeat(64 * 1024);

/** Answers /well at once, /long with megabytes, and a body of ten bytes when it is there. */
function playPod(socket: net.Socket): void {
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  let text = '';
  socket.on('data', (data) => {
    text += data.toString('latin1');
    const bodyStart = text.indexOf('\r\n\r\n') + 4;
    if (bodyStart < 4) return;
    if (text.startsWith('GET /long')) answerLong(socket);
    else if (text.startsWith('GET ') || text.length >= bodyStart + 10) socket.write(okAnswer('ok'));
    else return;
    text = '';
  });
}

function answerLong(socket: net.Socket): void {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${longAnswerBytes}\r\n\r\n`);
  let left = longAnswerBytes;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= piece.length;
      if (!socket.write(piece, 'latin1')) {
        socket.once('drain', more);
        return;
      }
    }
  };
  more();
}

/** One byte after the other, until the other side ends it. */
function trickle(peer: Peer, bytes: string): void {
  let at = 0;
  const timer = setInterval(() => {
    if (peer.isClosed || peer.hasEnded || at === bytes.length) clearInterval(timer);
    else peer.send(bytes.charAt(at++));
  }, trickleMs);
}

type Attack = {
  readonly count: number;
  readonly play: (peer: Peer) => void;
  /** What each attacker has got in the end. */
  readonly ends: RegExp;
};

const longHead = request('GET /', `X-Slow: ${'a'.repeat(2_000)}`);
const body = (bytes: number): string => request('POST /', `Content-Length: ${bytes}`);

const attacks: readonly (readonly [string, Attack])[] = [
  [
    'a head that comes byte by byte is 408',
    {
      count: attackers,
      play: (peer) => trickle(peer, longHead),
      ends: /^HTTP\/1\.1 408 [^]*BadRequestTimeout/,
    },
  ],
  [
    'a head that stops is 408',
    {
      count: attackers,
      play: (peer) => peer.send(longHead.slice(0, 100)),
      ends: /^HTTP\/1\.1 408 /,
    },
  ],
  [
    'no head at all ends in silence',
    { count: attackers, play: () => undefined, ends: /^$/ },
  ],
  [
    'a body that stops is 408',
    {
      count: attackers,
      play: (peer) => peer.send(`${body(10)}hello`),
      ends: /^HTTP\/1\.1 408 [^]*BadRequestTimeout/,
    },
  ],
  [
    'a chunk-size line that stops is 408',
    {
      count: attackers,
      play: (peer) => peer.send(`${request('POST /', 'Transfer-Encoding: chunked')}5;a`),
      ends: /^HTTP\/1\.1 408 /,
    },
  ],
  [
    'a body that comes byte by byte is answered when it is whole',
    {
      count: attackers,
      play: (peer) => {
        peer.send(request('POST /', 'Content-Length: 10', 'Connection: close'));
        trickle(peer, '0123456789');
      },
      ends: /^HTTP\/1\.1 200 [^]*ok$/,
    },
  ],
  [
    'an answer that nobody reads is cut off',
    {
      count: unreadAttackers,
      play: (peer) => {
        peer.keepsText = false;
        peer.socket.pause();
        peer.send(request('GET /long'));
      },
      ends: /^$/,
    },
  ],
];

/** Asks on new and on kept connections until told to stop; each answer has to come. */
async function playInnocent(isOver: () => boolean): Promise<number> {
  let answered = 0;
  while (!isOver()) {
    const peer = await connectTo(mesh.port);
    for (let kept = 0; kept < 3; kept += 1) {
      peer.clear();
      await peer.send(request('GET /well')).see('\r\n\r\nok');
      answered += 1;
    }
    peer.socket.destroy();
    await new Promise((done) => setTimeout(done, 10));
  }
  return answered;
}

const megabytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);

describe('hundreds of slow clients', { timeout: limitMs }, () => {
  test.each(attacks)('%s', async (_, { count, play, ends }) => {
    const before = await mesh.mark();
    peers = await Promise.all(Array.from({ length: count }, () => connectTo(mesh.port)));
    for (const peer of peers) {
      // Who is ended ends, too.
      peer.socket.on('end', () => peer.socket.end());
      play(peer);
    }
    let isOver = false;
    const innocent = playInnocent(() => isOver);
    await quiet(count);
    isOver = true;
    const answered = await innocent;
    await quiet(0);
    const { peak, state, bugs } = await mesh.look();
    const growth = peak.rssBytes - before.now.rssBytes;
    console.log(
      `${peak.connections} connections at most: buffered at most ` +
        `${(peak.bufferedBytes / 1024).toFixed(0)} kB, RSS +${megabytes(growth)} MB; ` +
        `${answered} others answered meanwhile`,
    );
    expect(answered).toBeGreaterThan(10);
    for (const peer of peers) peer.socket.resume();
    for (const peer of peers) expect(await peer.closed()).toMatch(ends);
    expect(state).toMatchObject({ connections: 0, exchanges: 0, lingering: 0, bufferedBytes: 0 });
    expect(state.deadlines).toBe(state.upstreamIdle);
    expect(peak.bufferedBytes).toBeLessThanOrEqual(count * bufferedBytesMax);
    expect(growth).toBeLessThan(peak.bufferedBytes + ownBytesMax);
    expect(bugs).toBe(0);
  });
});

/** The proxy has ended all attackers, of which it had most at one time; nothing told it to. */
async function quiet(count: number): Promise<void> {
  let hasSeenMost = false;
  let isQuiet = false;
  let said = '';
  const look = async (): Promise<void> => {
    const { state, peak } = await mesh.look();
    hasSeenMost ||= peak.connections > count / 2;
    // The innocent client has one connection at a time.
    said = JSON.stringify({ state, peak });
    isQuiet = hasSeenMost && state.connections <= (count === 0 ? 0 : 1);
  };
  const untilMs = Date.now() + quietMs;
  while (!isQuiet) {
    if (Date.now() > untilMs) throw new Error(`never quiet: ${said}`);
    await look();
    await new Promise((done) => setTimeout(done, 50));
  }
}
