// The seam to the network: one request, one answer whose body is a stream of chunks.
// `openTransport` makes the real one on undici; tests give an API server that lives in memory
// instead. It knows nothing of Kubernetes objects, statuses or repetition.
// A dead peer is found by TCP keep-alive: first probe after 15 s, then one a second, ten of them.
import type { Dispatcher } from 'undici';
import { KubeFailure } from './client.ts';
import type { Credentials, CredentialSource } from './credentials.ts';
import { readyParser } from './ready-parser.ts';
import { Pool } from './undici.ts';

export type TransportRequest = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly target: string;
  readonly accept: string;
  readonly contentType: string | undefined;
  readonly body: string | undefined;
  /** For the head of the answer. */
  readonly headTimeoutMs: number;
  /** Aborts the request, and the body when it is already being read. */
  readonly signal: AbortSignal;
  /**
   * Asked right before the first byte leaves, however long the request has waited for a connection
   * or the process was stopped; no: it fails as `Cancelled` and was provably not sent.
   */
  readonly mayStart?: (() => boolean) | undefined;
};

export type TransportAnswer = {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** Ends cleanly, or throws when it is cut. Leaving the loop destroys it. */
  readonly body: AsyncIterable<Uint8Array>;
};

export type Transport = {
  /** For messages: `https://10.96.0.1:443`. */
  readonly server: string;
  /** Throws whatever the network throws when there is no answer; every status is an answer. */
  readonly send: (request: TransportRequest) => Promise<TransportAnswer>;
  /** Cuts everything that is open. */
  readonly close: () => Promise<void>;
};

/** One watch holds one connection; 11 kinds, writes, and room for a burst of them. */
const connectionsMax = 64;
const connectTimeoutMs = 5_000;
const keepAliveProbeMs = 15_000;
/** Idle connections are kept a little shorter than the 90 s that Go servers keep them. */
const idleConnectionMs = 60_000;

/** Loads the credentials once; throws KubeFailure when they cannot be had at all. */
export async function openTransport(source: CredentialSource): Promise<Transport> {
  const transport = new PoolTransport(source, await source.current());
  await readyParser();
  return {
    server: transport.server,
    send: (request) => transport.send(request),
    close: () => transport.close(),
  };
}

/** Owns the pool, and replaces it when certificates on disk have changed. */
class PoolTransport {
  readonly #source: CredentialSource;
  #credentials: Credentials;
  #pool: Pool;

  constructor(source: CredentialSource, credentials: Credentials) {
    this.#source = source;
    this.#credentials = credentials;
    this.#pool = openPool(credentials);
  }

  get server(): string {
    return this.#credentials.server;
  }

  async send(request: TransportRequest): Promise<TransportAnswer> {
    this.#use(await this.#source.current());
    const { mayStart } = request;
    const pool = mayStart === undefined ? this.#pool : this.#pool.compose(gate(mayStart));
    const answer = await pool.request({
      method: request.method,
      path: this.#credentials.basePath + request.target,
      headers: headersOf(request, this.#credentials.token),
      body: request.body ?? null,
      signal: request.signal,
      headersTimeout: request.headTimeoutMs,
      // Silence in a body is judged by whoever reads it, on a clock that tests can move.
      bodyTimeout: 0,
    });
    if (answer.statusCode === 401) this.#source.distrust();
    return {
      status: answer.statusCode,
      retryAfterMs: retryAfterMs(answer.headers['retry-after']),
      body: answer.body,
    };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #use(credentials: Credentials): void {
    if (credentials === this.#credentials) return;
    const old = this.#credentials;
    this.#credentials = credentials;
    if (credentials.server === old.server && credentials.tlsKey === old.tlsKey) return;
    const pool = this.#pool;
    this.#pool = openPool(credentials);
    // Open watches go on until they end by themselves, within five minutes.
    pool.close().catch(() => undefined);
  }
}

function openPool(credentials: Credentials): Pool {
  return new Pool(credentials.server, {
    connections: connectionsMax,
    pipelining: 1,
    keepAliveTimeout: idleConnectionMs,
    connect: {
      ...credentials.tls,
      timeout: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveProbeMs,
    },
  });
}

/** undici tells that a request starts in the turn in which it writes it to the socket. */
function gate(mayStart: () => boolean): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, taker) =>
    dispatch(options, {
      onRequestStart: (controller, context) => {
        if (mayStart()) taker.onRequestStart?.(controller, context);
        else controller.abort(notStarted());
      },
      onResponseStart: (controller, status, headers, message) =>
        taker.onResponseStart?.(controller, status, headers, message),
      onResponseData: (controller, chunk) => taker.onResponseData?.(controller, chunk),
      onResponseEnd: (controller, trailers) => taker.onResponseEnd?.(controller, trailers),
      onResponseError: (controller, error) => taker.onResponseError?.(controller, error),
    });
}

/** For whoever lost the right to write while the request waited. */
export function notStarted(): KubeFailure {
  const message = 'the request was not sent: its sender may not write any more';
  return new KubeFailure('Cancelled', message);
}

function headersOf(request: TransportRequest, token: string | undefined): Record<string, string> {
  const headers: Record<string, string> = { accept: request.accept, 'user-agent': 'weft' };
  if (request.contentType !== undefined) headers['content-type'] = request.contentType;
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  return headers;
}

/** Seconds or an HTTP date (RFC 9110 §10.2.3); the API server only sends seconds. */
function retryAfterMs(value: string | string[] | undefined): number | undefined {
  const seconds = typeof value === 'string' ? Number(value) : Number.NaN;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}
