// Before direct sockets carry traffic they have to show on real connections that they read,
// write, wait, end, close, reset and fail as they should. Whatever is missing, throws, differs or
// takes too long means no: this is all that stands between an unknown Node and the traffic.
import type { Network, NetworkSocket } from '../lib/network.ts';
import { errorCode } from './node-error.ts';

/** A trial on loopback takes some 40 ms; what has not ended by then has failed. */
const trialMs = 2_000;
/** More than the kernel takes at once, so that a write has to wait. */
const trialBytes = 8 * 1024 * 1024;
const readBytes = 64 * 1024;
const address = '127.0.0.1';

export function passesTrial(network: Network): Promise<boolean> {
  return new Promise((resolve) => {
    const trial = new Trial(network, resolve);
    trial.start();
  });
}

/** One after the other: an echo, a reset, a connection that is refused. */
class Trial {
  readonly #network: Network;
  readonly #resolve: (isPassed: boolean) => void;
  readonly #sockets: NetworkSocket[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #endCatching: () => void;
  #listener: ReturnType<Network['listen']> | undefined;
  /** Why the accepted end is to be closed. */
  #dueFault: string | undefined;
  #openEnds = 0;
  #next: () => void = () => undefined;
  #isOver = false;

  constructor(network: Network, resolve: (isPassed: boolean) => void) {
    this.#network = network;
    this.#resolve = resolve;
    this.#timer = setTimeout(() => this.#finish(false), trialMs);
    this.#endCatching = catchAll(() => this.#finish(false));
  }

  start(): void {
    this.#listener = this.#network.listen({ address, port: 0, reusePort: false }, {
      listening: () => this.#tryEcho(),
      failed: () => this.#finish(false),
      accepted: (socket) => {
        this.#sockets.push(socket);
        if (socket.remoteAddress !== address) this.#finish(false);
        echo(socket);
        socket.on('close', () => this.#endClosed(errorCode(socket.errored) === this.#dueFault));
      },
    });
  }

  #tryEcho(): void {
    this.#next = () => this.#tryReset();
    sendAndCompare(this.#connect(), (isRight) => this.#endClosed(isRight));
  }

  /** Who is cut off hears of it. */
  #tryReset(): void {
    this.#next = () => this.#tryRefusal();
    this.#dueFault = 'ECONNRESET';
    const socket = this.#connect();
    socket.on('connect', () => socket.write('cut', 'latin1'));
    readInTurns(socket, () => socket.resetAndDestroy());
    socket.on('close', () => this.#endClosed(socket.errored === null));
  }

  /** The port is free again: its listener is closed, and so is all that it accepted. */
  #tryRefusal(): void {
    const port = this.#listener?.port() ?? 0;
    this.#listener?.close();
    const socket = this.#network.connect({ address, port, localAddress: address });
    this.#sockets.push(socket);
    let told: string | undefined;
    socket.on('connect', () => this.#finish(false));
    socket.on('error', (error) => (told = errorCode(error)));
    socket.on('close', () => this.#finish(told === 'ECONNREFUSED'));
  }

  #connect(): NetworkSocket {
    this.#openEnds = 2;
    const port = this.#listener?.port() ?? 0;
    const socket = this.#network.connect({ address, port, localAddress: undefined });
    this.#sockets.push(socket);
    return socket;
  }

  #endClosed(isRight: boolean): void {
    if (!isRight) this.#finish(false);
    this.#openEnds -= 1;
    if (this.#openEnds === 0 && !this.#isOver) this.#next();
  }

  #finish(isPassed: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#endCatching();
    for (const socket of this.#sockets) closeAnyway(socket);
    this.#listener?.close();
    this.#resolve(isPassed);
  }
}

/** Insides that are not what they seem may throw here as well. */
export function closeAnyway(socket: Pick<NetworkSocket, 'destroy'>): void {
  try {
    socket.destroy();
  } catch {
    // The trial has failed already, and nobody uses the socket.
  }
}

/**
 * Insides of another shape may throw from under any callback of the kernel, where nobody stands who
 * could catch it; at start the trial is all that runs in the thread.
 */
export function catchAll(caught: () => void): () => void {
  if (process.hasUncaughtExceptionCaptureCallback()) return () => undefined;
  process.setUncaughtExceptionCaptureCallback(caught);
  return () => process.setUncaughtExceptionCaptureCallback(null);
}

/** What a trial's echo uses of a socket, plain or secure. */
export type TriedSocket = Pick<NetworkSocket, 'end' | 'on' | 'pause' | 'readInto' | 'resume'> & {
  write(data: Uint8Array): boolean;
};

/** Another buffer each time: that they are changed has to work as well. */
export function readInTurns(
  socket: Pick<TriedSocket, 'readInto'>,
  take: (piece: Buffer) => void,
): void {
  const buffers = [Buffer.alloc(readBytes), Buffer.alloc(readBytes)] as const;
  let turn = 0;
  socket.readInto?.({
    readBuffer: () => buffers[(turn ^= 1) === 0 ? 0 : 1],
    read: (from, bytes) => take(from.subarray(0, bytes)),
  });
}

/** Sends back what comes, and waits while it cannot; ends when the peer ends. */
export function echo(socket: TriedSocket): void {
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  socket.on('drain', () => socket.resume());
  readInTurns(socket, (piece) => {
    if (!socket.write(Buffer.from(piece))) socket.pause();
  });
}

/** Sends more than the kernel buffers, text and bytes, and compares what comes back. */
function sendAndCompare(socket: NetworkSocket, done: (isSame: boolean) => void): void {
  const sent = trialText(trialBytes);
  let received = 0;
  let isSame = true;
  let hasWaited = false;
  let hasEnded = false;
  socket.on('connect', () => {
    socket.cork();
    socket.write(sent.subarray(0, readBytes).toString('latin1'), 'latin1');
    socket.write(sent.subarray(readBytes));
    socket.uncork();
    socket.end();
  });
  socket.on('drain', () => (hasWaited = true));
  socket.on('end', () => (hasEnded = true));
  socket.on('close', () => done(isSame && hasWaited && hasEnded && received === sent.length));
  readInTurns(socket, (piece) => {
    isSame &&= piece.equals(sent.subarray(received, received + piece.length));
    received += piece.length;
  });
}

/** No stretch of it looks like another one. */
export function trialText(bytes: number): Buffer {
  const words = new Uint32Array(bytes / Uint32Array.BYTES_PER_ELEMENT);
  for (let index = 0; index < words.length; index += 1) words[index] = index;
  return Buffer.from(words.buffer);
}
