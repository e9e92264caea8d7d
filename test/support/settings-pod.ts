// A pod for the tests of settings: it speaks HTTP/1.1 and HTTP/2 on one port, whichever it is
// asked in, and answers as plain HTTP or as gRPC does. What it answers is what a test has put into
// `answer`. Waiting is for events; a pod that takes its time is one that a test made so.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import type { Writable } from 'node:stream';
import type { TestEndpoint } from './dataplane-harness.ts';
import { PodAuthority } from './pod-certificates.ts';

const tlsHandshake = 22;
/** Of an authority that nobody knows. */
const ownCertificate = new PodAuthority().issue('pod.example');

type Request = http.IncomingMessage | http2.Http2ServerRequest;
type Response = http.ServerResponse | http2.Http2ServerResponse;

export type PodAnswer = {
  readonly status?: number;
  /** Of an answer of gRPC; 0 comes as trailers, all others as a head that is all there is. */
  readonly grpcStatus?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** One request as the pod sees it. */
export class PodRequest {
  readonly version: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly isGrpc: boolean;
  /** It came in TLS. */
  readonly isSecure: boolean;
  /** Whether whoever asked has gone before the answer. */
  isGone = false;
  readonly #pod: SettingsPod;
  readonly #request: Request;
  readonly #response: Response;

  constructor(pod: SettingsPod, request: Request, response: Response) {
    this.#pod = pod;
    this.#request = request;
    this.#response = response;
    const { headers } = request;
    const authority: unknown = headers[':authority'];
    this.version = request.httpVersion;
    this.method = request.method ?? '';
    this.path = request.url ?? '';
    this.host = typeof authority === 'string' ? authority : (headers.host ?? '');
    this.headers = headers;
    this.isSecure = Reflect.get(request.socket, 'encrypted') === true;
    this.isGrpc = headers['content-type'] === 'application/grpc';
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    response.on('close', () => {
      this.isGone = !response.writableEnded;
    });
    request.resume();
  }

  /** 200, and in gRPC OK; the body says which pod it was. */
  ok(body = this.#pod.endpoint.address): void {
    this.answer(this.isGrpc ? { body, grpcStatus: 0 } : { body });
  }

  /** 500, and in gRPC INTERNAL. */
  fail(): void {
    this.answer(this.isGrpc ? { grpcStatus: 13 } : { status: 500 });
  }

  /** The beginning of an answer that goes on. */
  begin(body: string): void {
    if (this.isGrpc) this.#response.setHeader('content-type', 'application/grpc');
    const out: Writable = this.#response;
    out.write(body);
  }

  /** The end of what has begun; a call's status comes as trailers. */
  finish(grpcStatus?: number): void {
    if (grpcStatus !== undefined) {
      this.#response.addTrailers({ 'grpc-status': String(grpcStatus) });
    }
    const out: Writable = this.#response;
    out.end();
  }

  answer({ status = 200, grpcStatus, headers = {}, body = '' }: PodAnswer): void {
    const response = this.#response;
    response.statusCode = status;
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const out: Writable = response;
    if (grpcStatus === undefined) {
      response.setHeader('content-length', body.length);
      out.end(body);
      return;
    }
    response.setHeader('content-type', 'application/grpc');
    if (grpcStatus !== 0) {
      response.setHeader('grpc-status', String(grpcStatus));
      if (this.version === '1.1') response.setHeader('content-length', 0);
      out.end();
      return;
    }
    this.begin(body);
    this.finish(0);
  }

  /** RST_STREAM with this code; a pod of HTTP/1.1 has no such thing. */
  reset(code: number): void {
    if (!(this.#request instanceof http.IncomingMessage)) this.#request.stream.close(code);
  }

  /** Cuts the connection, or in HTTP/2 the stream. */
  cut(): void {
    if (this.#request instanceof http.IncomingMessage) this.#request.socket.resetAndDestroy();
    else this.#request.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  }
}

export class SettingsPod {
  readonly endpoint: TestEndpoint;
  /** All that it was asked, in order. */
  readonly requests: PodRequest[] = [];
  /** Connections that it has accepted. */
  connections = 0;
  /** Streams that a connection of HTTP/2 may have; said to those that come from now on. */
  streamsMax: number | undefined;
  answer: (request: PodRequest, nth: number) => void = (request) => request.ok();
  readonly #server: net.Server;
  readonly #open: net.Socket[] = [];

  private constructor(server: net.Server, endpoint: TestEndpoint, all: PodRequest[]) {
    this.#server = server;
    this.endpoint = endpoint;
    const asked = (request: Request, response: Response): void => {
      const one = new PodRequest(this, request, response);
      this.requests.push(one);
      all.push(one);
      this.answer(one, this.requests.length);
    };
    const http1 = http.createServer({ keepAliveTimeout: 0 }, asked);
    http1.on('upgrade', (_, socket) => {
      socket.on('error', () => undefined);
      const lines = ['Connection: upgrade', 'Upgrade: echo', '', ''];
      socket.write(['HTTP/1.1 101 Switching Protocols', ...lines].join('\r\n'));
      socket.pipe(socket);
    });
    const secure = https.createServer(ownCertificate, asked);
    const h2c = (): http2.Http2Server => {
      const { streamsMax } = this;
      const settings = streamsMax === undefined ? {} : { maxConcurrentStreams: streamsMax };
      return http2.createServer({ settings }, asked);
    };
    server.on('connection', (socket) => {
      this.connections += 1;
      this.#open.push(socket);
      socket.on('error', () => undefined);
      socket.once('data', (first) => {
        // The preface of HTTP/2 begins with a method that HTTP/1.1 does not have; TLS with what is
        // no letter (RFC 8446 section 5.1).
        const plain = first.toString('latin1', 0, 3) === 'PRI' ? h2c() : http1;
        const speaks = first[0] === tlsHandshake ? secure : plain;
        socket.pause();
        speaks.emit('connection', socket);
        socket.unshift(first);
        socket.resume();
      });
    });
  }

  /** `all`: gathers the requests of several pods in their order. */
  static start(address: string, all: PodRequest[]): Promise<SettingsPod> {
    const server = net.createServer();
    return new Promise((done) => {
      server.listen(0, address, () => {
        const at = server.address();
        const port = at !== null && typeof at === 'object' ? at.port : 0;
        done(new SettingsPod(server, { address, port }, all));
      });
    });
  }

  /** Closes its connections, as a pod that restarts. */
  hangUp(): void {
    for (const socket of this.#open.splice(0)) socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.hangUp();
  }
}
