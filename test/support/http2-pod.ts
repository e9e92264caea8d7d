// A pod that speaks HTTP/2 with prior knowledge: Node's own server, whose calls a test answers one
// by one. Waiting is for events, never for time.
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TestEndpoint } from './dataplane-harness.ts';

/** One call as the pod sees it. */
export class PodCall {
  readonly stream: http2.ServerHttp2Stream;
  readonly headers: http2.IncomingHttpHeaders;
  trailers: http2.IncomingHttpHeaders = {};
  text = '';
  /** The whole request has come, or the stream is closed. */
  readonly ended: Promise<void>;
  readonly closed: Promise<number>;

  constructor(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) {
    this.stream = stream;
    this.headers = headers;
    stream.setEncoding('latin1');
    stream.on('data', (piece: string) => {
      this.text += piece;
    });
    stream.on('trailers', (trailers: http2.IncomingHttpHeaders) => {
      this.trailers = trailers;
    });
    stream.on('error', () => undefined);
    this.ended = new Promise((done) => {
      stream.on('end', done);
      stream.on('close', done);
    });
    this.closed = new Promise((done) => {
      stream.on('close', () => done(stream.rstCode));
    });
  }

  /** A whole answer; with trailers, where there are any. */
  answer(body: string, headers: http2.OutgoingHttpHeaders = {}, trailers?: object): void {
    const { stream } = this;
    stream.respond({ ':status': 200, ...headers }, { waitForTrailers: trailers !== undefined });
    stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }));
    stream.end(body, 'latin1');
  }
}

export class Http2Pod {
  readonly endpoint: TestEndpoint;
  readonly sessions: http2.ServerHttp2Session[] = [];
  /** Open at one time. */
  sessionsMost = 0;
  readonly #server: http2.Http2Server;
  readonly #calls: PodCall[] = [];
  readonly #waiting: ((call: PodCall) => void)[] = [];

  private constructor(server: http2.Http2Server, address: string) {
    this.#server = server;
    this.endpoint = { address, port: (server.address() as AddressInfo).port };
    server.on('session', (session) => {
      session.on('error', () => undefined);
      this.sessions.push(session);
      const open = this.sessions.filter(({ closed, destroyed }) => !closed && !destroyed);
      this.sessionsMost = Math.max(this.sessionsMost, open.length);
    });
    server.on('stream', (stream, headers) => {
      const call = new PodCall(stream, headers);
      const next = this.#waiting.shift();
      if (next === undefined) this.#calls.push(call);
      else next(call);
    });
  }

  static start(settings: http2.Settings = {}, address = '127.0.0.1'): Promise<Http2Pod> {
    const server = http2.createServer({ settings });
    return new Promise((done) => {
      server.listen(0, address, () => done(new Http2Pod(server, address)));
    });
  }

  /** The next call that comes, or has come. */
  accept(): Promise<PodCall> {
    const call = this.#calls.shift();
    if (call !== undefined) return Promise.resolve(call);
    return new Promise((done) => {
      this.#waiting.push(done);
    });
  }

  close(): void {
    for (const session of this.sessions) session.destroy();
    this.#server.close();
  }
}
