// The fastest network that this Node offers: direct sockets when a trial on a real connection shows
// that they read, write, wait and end as they should, else plain ones. So a new release of Node
// costs speed at worst, never service.
import type net from 'node:net';
import type { Network, NetworkSocket } from '../lib/network.ts';
import { DirectSocket, findInternals } from './direct-socket.ts';
import type { Internals } from './direct-socket.ts';
import { nodeNetwork } from './node-network.ts';

/** A trial on loopback takes some 40 ms; what has not ended by then has failed. */
const trialMs = 2_000;
/** More than the kernel takes at once, so that a write has to wait. */
const trialBytes = 8 * 1024 * 1024;
const readBytes = 64 * 1024;

/** Direct sockets if they pass the trial; `isDirect` tells. Tests bring internals that lie. */
export async function fastestNetwork(
  internals = findInternals(),
): Promise<{ network: Network; isDirect: boolean }> {
  const plain = nodeNetwork();
  if (internals === undefined || !(await passesTrial(internals))) {
    return { network: plain, isDirect: false };
  }
  return { network: directNetwork(internals), isDirect: true };
}

function directNetwork(internals: Internals): Network {
  const wrap = (socket: net.Socket): NetworkSocket => new DirectSocket(socket, internals);
  return nodeNetwork(wrap);
}

/** Echoes more than the kernel buffers, over a connection with direct sockets at both ends. */
function passesTrial(internals: Internals): Promise<boolean> {
  return new Promise((resolve) => {
    const sockets: NetworkSocket[] = [];
    const network = directNetwork(internals);
    const finish = (isPassed: boolean): void => {
      clearTimeout(timer);
      endCatching();
      for (const socket of sockets) socket.destroy();
      listener.close();
      resolve(isPassed);
    };
    const endCatching = catchAll(() => finish(false));
    const timer = setTimeout(() => finish(false), trialMs);
    const listener = network.listen({ address: '127.0.0.1', port: 0, reusePort: false }, {
      listening: () => {
        const port = listener.port() ?? 0;
        const client = network.connect({ address: '127.0.0.1', port, localAddress: undefined });
        sockets.push(client);
        tryClient(client, finish);
      },
      failed: () => finish(false),
      accepted: (socket) => {
        sockets.push(socket);
        echo(socket);
      },
    });
  });
}

/**
 * Insides of another shape may throw from under any callback of the kernel, where nobody stands who
 * could catch it; at start the trial is all that runs in the thread.
 */
function catchAll(caught: () => void): () => void {
  if (process.hasUncaughtExceptionCaptureCallback()) return () => undefined;
  process.setUncaughtExceptionCaptureCallback(caught);
  return () => process.setUncaughtExceptionCaptureCallback(null);
}

/** Sends back what comes; ends when the peer ends. */
function echo(socket: NetworkSocket): void {
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  socket.on('drain', () => socket.resume());
  const buffer = Buffer.alloc(readBytes);
  socket.readInto?.({
    readBuffer: () => buffer,
    read: (from, bytes) => {
      if (!socket.write(Buffer.from(from.subarray(0, bytes)))) socket.pause();
    },
  });
}

function tryClient(socket: NetworkSocket, finish: (isPassed: boolean) => void): void {
  const sent = trialText();
  let received = 0;
  let isSame = true;
  let hasWaited = false;
  socket.on('error', () => finish(false));
  socket.on('connect', () => {
    socket.cork();
    socket.write(sent.subarray(0, readBytes).toString('latin1'), 'latin1');
    socket.write(sent.subarray(readBytes));
    socket.uncork();
    socket.end();
  });
  socket.on('drain', () => (hasWaited = true));
  socket.on('end', () => finish(isSame && hasWaited && received === sent.length));
  const buffers = [Buffer.alloc(readBytes), Buffer.alloc(readBytes)];
  let turn = 0;
  socket.readInto?.({
    // Another buffer each time: that they are changed has to work as well.
    readBuffer: () => buffers[(turn += 1) % 2] ?? sent,
    read: (from, bytes) => {
      isSame &&= from.subarray(0, bytes).equals(sent.subarray(received, received + bytes));
      received += bytes;
    },
  });
}

/** No stretch of it looks like another one. */
function trialText(): Buffer {
  const words = new Uint32Array(trialBytes / Uint32Array.BYTES_PER_ELEMENT);
  for (let index = 0; index < words.length; index += 1) words[index] = index;
  return Buffer.from(words.buffer);
}
