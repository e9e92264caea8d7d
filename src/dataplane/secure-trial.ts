// Before direct TLS streams carry traffic they have to show on a real connection, with a key made
// for it, that they encrypt, read, wait, pause, end, close and are cut as they should. As with
// direct-trial.ts: whatever is missing, throws, differs or takes too long means no.
import type { SecureNetwork, SecureSocket, TlsContext } from '../lib/network.ts';
import { catchAll, closeAnyway, echo, readInTurns, trialText } from './direct-trial.ts';
import { errorCode } from './node-error.ts';
import { trialCredential } from './trial-certificate.ts';

/** A trial on loopback takes some 40 ms; what has not ended by then has failed. */
const trialMs = 2_000;
/** More than one write takes, and more than may be read behind a pause. */
const trialBytes = 2 * 1024 * 1024;
const readBytes = 64 * 1024;
/** Longer than all that is sent takes: a carrier that cannot pause has to hold too much. */
const longPauseMs = 30;
const address = '127.0.0.1';
const alpn = ['weft-trial'] as const;

export function passesSecureTrial(network: SecureNetwork): Promise<boolean> {
  return new Promise((resolve) => {
    const trial = new SecureTrial(network, resolve);
    trial.start();
  });
}

/** One after the other: an echo with its ends, and a cut. */
class SecureTrial {
  readonly #network: SecureNetwork;
  readonly #resolve: (isPassed: boolean) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #endCatching: () => void;
  readonly #sockets: Pick<SecureSocket, 'destroy'>[] = [];
  #client: TlsContext | undefined;
  #server: TlsContext | undefined;
  #listener: ReturnType<SecureNetwork['listen']> | undefined;
  #openEnds = 0;
  #next: () => void = () => undefined;
  #isOver = false;

  constructor(network: SecureNetwork, resolve: (isPassed: boolean) => void) {
    this.#network = network;
    this.#resolve = resolve;
    this.#timer = setTimeout(() => this.#finish(false), trialMs);
    this.#endCatching = catchAll(() => this.#finish(false));
  }

  start(): void {
    try {
      this.#listen();
    } catch {
      // No certificate could be made or read: plain streams will say the same louder.
      this.#finish(false);
    }
  }

  #listen(): void {
    const terms = { ...trialCredential(), alpn };
    this.#client = this.#network.context({ ...terms, side: 'client' });
    this.#server = this.#network.context({ ...terms, side: 'server' });
    this.#listener = this.#network.listen({ address, port: 0, reusePort: false }, {
      listening: () => this.#tryEcho(),
      failed: () => this.#finish(false),
      accepted: (raw) => {
        this.#sockets.push(raw);
        this.#server?.accept(raw, {
          secured: (socket) => this.#accepted(socket),
          failed: () => this.#finish(false),
        });
      },
    });
  }

  #accepted(socket: SecureSocket): void {
    this.#sockets.push(socket);
    if (this.#isOver) {
      socket.destroy();
      return;
    }
    echo(socket);
    socket.on('close', () => this.#endClosed(errorCode(socket.errored) === undefined));
  }

  #tryEcho(): void {
    this.#next = () => this.#tryCut();
    sendAndCompare(this.#connect(), (isRight) => this.#endClosed(isRight));
  }

  /** Who is cut off hears of it. */
  #tryCut(): void {
    this.#next = () => this.#finish(true);
    const socket = this.#connect();
    socket.on('connect', () => {
      readInTurns(socket, () => socket.resetAndDestroy());
      socket.write('cut');
    });
    socket.on('close', () => this.#endClosed(socket.errored === null));
  }

  #connect(): SecureSocket {
    if (this.#client === undefined) throw new Error('BUG: a trial without a certificate');
    this.#openEnds = 2;
    const port = this.#listener?.port() ?? 0;
    const socket = this.#client.connect({ address, port, localAddress: undefined });
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

/** Sends text and bytes, reads with pauses, and compares what comes back. */
function sendAndCompare(socket: SecureSocket, done: (isSame: boolean) => void): void {
  const sent = trialText(trialBytes);
  let received = 0;
  let isPaused = false;
  let isSame = true;
  let hasWaited = false;
  let hasEnded = false;
  const resume = (): void => {
    isPaused = false;
    socket.resume();
  };
  socket.on('connect', () => {
    socket.cork();
    socket.write(sent.subarray(0, 512).toString('latin1'));
    socket.uncork();
    socket.write(sent.subarray(512, 2 * readBytes).toString('latin1'));
    socket.write(sent.subarray(2 * readBytes));
    socket.end();
    readInTurns(socket, (piece) => {
      // A read behind a pause would be one too many.
      isSame &&= !isPaused && piece.equals(sent.subarray(received, received + piece.length));
      isPaused = true;
      socket.pause();
      if (received === 0) setTimeout(resume, longPauseMs);
      else setImmediate(resume);
      received += piece.length;
    });
  });
  socket.on('drain', () => (hasWaited = true));
  socket.on('end', () => (hasEnded = true));
  socket.on('error', () => (isSame = false));
  socket.on('close', () => done(isSame && hasWaited && hasEnded && received === sent.length));
}
