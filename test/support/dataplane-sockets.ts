// Raw sockets for tests of the data plane: a client that records what it gets, and an upstream
// whose every byte the test decides. Waiting is for bytes or events, never for time; a wait that
// is never fulfilled fails with what was there instead.
import net from 'node:net';

const waitLimitMs = 8_000;

/** A port that nobody listens on right now. */
export function freePort(address: string): Promise<number> {
  return new Promise((done, fail) => {
    const server = net.createServer();
    server.on('error', fail);
    server.listen(0, address, () => {
      const port = portOf(server);
      server.close(() => done(port));
    });
  });
}

/** One end of a connection, as a test sees it. */
export class Peer {
  readonly socket: net.Socket;
  /** Everything received, latin1. */
  text = '';
  receivedBytes = 0;
  hasEnded = false;
  isClosed = false;
  errorCode: string | undefined;
  /** False: bytes are counted, not kept. */
  keepsText = true;
  #waiters: { readonly isFulfilled: () => boolean; readonly done: () => void }[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (data) => {
      this.receivedBytes += data.length;
      if (this.keepsText) this.text += data.toString('latin1');
      this.#check();
    });
    socket.on('end', () => {
      this.hasEnded = true;
      this.#check();
    });
    socket.on('error', (error) => {
      this.errorCode = 'code' in error ? String(error.code) : error.message;
    });
    socket.on('close', () => {
      this.isClosed = true;
      this.#check();
    });
    socket.on('drain', () => this.#check());
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  end(): this {
    this.socket.end();
    return this;
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Waits for a text behind what was `taken` before. */
  async see(part: string): Promise<string> {
    await this.until(() => this.text.includes(part), `"${part}"`);
    return this.text;
  }

  /** Waits for so many answers of this beginning. */
  async seeTimes(part: string, times: number): Promise<string> {
    const count = (): number => this.text.split(part).length - 1;
    await this.until(() => count() >= times, `${times} times "${part}"`);
    return this.text;
  }

  async closed(): Promise<string> {
    await this.until(() => this.isClosed || this.hasEnded, 'the end');
    return this.text;
  }

  /** Forgets what came so far. */
  clear(): void {
    this.text = '';
  }

  until(isFulfilled: () => boolean, what: string): Promise<void> {
    if (isFulfilled()) return Promise.resolve();
    return new Promise((done, fail) => {
      const timer = setTimeout(() => {
        const state = JSON.stringify(this.text.slice(0, 2_000));
        fail(new Error(`waited for ${what}; closed ${this.isClosed}, got ${state}`));
      }, waitLimitMs);
      this.#waiters.push({
        isFulfilled,
        done: () => {
          clearTimeout(timer);
          done();
        },
      });
    });
  }

  #check(): void {
    const ready = this.#waiters.filter((waiter) => waiter.isFulfilled());
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.done();
  }
}

export function connectTo(port: number, address = '127.0.0.1'): Promise<Peer> {
  return new Promise((done, fail) => {
    const socket = net.connect({ port, host: address, allowHalfOpen: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      done(new Peer(socket));
    });
  });
}

/** A server whose connections a test plays by hand. */
export class RawUpstream {
  readonly #server: net.Server;
  readonly connections: Peer[] = [];
  readonly #waiting: ((peer: Peer) => void)[] = [];
  #seen = 0;
  /** Called with each complete head (no body) when set: for upstreams that just answer. */
  answer: ((peer: Peer, head: string, nthOnUpstream: number) => void) | undefined;

  /** Called with whatever arrives when set: for upstreams that read bodies. */
  received: ((peer: Peer, text: string) => void) | undefined;

  private constructor(server: net.Server) {
    this.#server = server;
    let requests = 0;
    server.on('connection', (socket) => {
      const peer = new Peer(socket);
      this.connections.push(peer);
      this.#waiting.shift()?.(peer);
      let rest = '';
      socket.on('data', (data) => {
        this.received?.(peer, data.toString('latin1'));
        if (this.answer === undefined) return;
        rest += data.toString('latin1');
        for (let end = rest.indexOf('\r\n\r\n'); end >= 0; end = rest.indexOf('\r\n\r\n')) {
          const head = rest.slice(0, end + 4);
          rest = rest.slice(end + 4);
          requests += 1;
          this.answer(peer, head, requests);
        }
      });
    });
  }

  static start(address = '127.0.0.1', port = 0): Promise<RawUpstream> {
    return new Promise((done, fail) => {
      const server = net.createServer({ allowHalfOpen: true });
      server.on('error', fail);
      server.listen(port, address, () => done(new RawUpstream(server)));
    });
  }

  get endpoint(): { readonly address: string; readonly port: number } {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return { address: address.address, port: address.port };
  }

  /** The next connection that this upstream gets, or has got and nobody asked for. */
  accept(): Promise<Peer> {
    const ready = this.connections[this.#seen];
    this.#seen += 1;
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error('no connection came')), waitLimitMs);
      this.#waiting.push((peer) => {
        clearTimeout(timer);
        done(peer);
      });
    });
  }

  close(): void {
    this.#server.close();
    for (const peer of this.connections) peer.socket.destroy();
  }
}

/** Waits until something that no event tells of is so. */
export async function eventually(isSo: () => boolean, what: string): Promise<void> {
  const untilMs = Date.now() + waitLimitMs;
  while (!isSo()) {
    if (Date.now() > untilMs) throw new Error(`never: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

function portOf(server: net.Server): number {
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}

/** A request of the harness' service; `lines` are further field lines. */
export function request(start: string, ...lines: string[]): string {
  return [`${start} HTTP/1.1`, 'Host: h1.t.mesh', ...lines, '', ''].join('\r\n');
}

export function okAnswer(body: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
