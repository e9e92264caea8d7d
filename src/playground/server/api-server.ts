// The embedded API server: HTTP(S) around `answer`. It reads bodies under a limit, knows who asks,
// meets injected faults, and keeps the watches. One object with a lifetime; `close` is idempotent.
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Runtime } from '../../lib/clock.ts';
import { answer, documentReply, watchScope, type ApiRequest, type Reply } from './answer.ts';
import { adminUser, serviceAccountUser, Tokens, type TokenBinding } from './auth.ts';
import { builtInKinds } from './builtins.ts';
import type { ApiContext } from './context.ts';
import { uuid } from './context.ts';
import { makeServerCertificate, type ServerCertificate } from './certificate.ts';
import { followDefinitions } from './crds.ts';
import { Faults, type Fault } from './faults.ts';
import { collectionOf, Registry } from './kinds.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { forwardToPod, podProxyTarget } from './pod-proxy.ts';
import { isProtobuf, parseProtobuf } from './protobuf.ts';
import { builtInRules } from './rules.ts';
import { resourcePath } from './routes.ts';
import { seedObjects } from './seed.ts';
import { noSuchResource, refusal, StatusFailure, statusObject } from './status.ts';
import { Storage } from './storage.ts';
import { metadataOnly, acceptedForms, viewText } from './view.ts';
import { tableOf, rowContent } from './table.ts';
import { Watch, type EventText } from './watch.ts';

/** How a server is reached; everything else is the same for all. */
export type ApiServerOptions = {
  readonly runtime: Runtime;
  /** 127.0.0.1 unless given. */
  readonly address?: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
  /**
   * `https` unless given, with a certificate of its own: kubectl sends no token over plain HTTP.
   */
  readonly transport?: 'http' | 'https';
  /** Token of the administrator; made up when absent. */
  readonly adminToken?: string;
  /** Changes kept for watches that resume. */
  readonly historyMax?: number;
};

/** A running server, as its starter holds it. */
export type ApiServer = {
  readonly url: string;
  readonly port: number;
  /** Empty over plain HTTP. */
  readonly caPem: string;
  readonly adminToken: string;
  /** A kubeconfig with the administrator's token, or another that was issued. */
  readonly kubeconfig: (token?: string) => string;
  /** A token as a kubelet would project it into a pod. */
  readonly issueToken: (binding: TokenBinding) => string;
  readonly faults: Faults;
  /** Forgets the history of changes: older watches get 410. */
  readonly compact: () => void;
  /** Cuts every connection that is open now, as a restart would. */
  readonly cutConnections: () => void;
  /** Goes away as a stopped process would: connections are cut, new ones refused. */
  readonly interrupt: () => Promise<void>;
  /** Is back after `interrupt`: same port, data and tokens. */
  readonly resume: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** As the real server limits a request. */
const bodyBytesMax = 3 * 1024 * 1024;

/** Starts listening; rejects when the address cannot be had. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const served = new ServedApi(options);
  await served.listen();
  return served.surface();
}

class ServedApi {
  readonly #options: ApiServerOptions;
  readonly #api: ApiContext;
  readonly #tokens = new Tokens();
  readonly #faults = new Faults();
  readonly #watches = new Map<Watch, string>();
  readonly #server: Server;
  readonly #adminToken: string;
  readonly #certificate: ServerCertificate | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const { runtime } = options;
    const storage = new Storage(options.historyMax);
    const registry = new Registry(builtInKinds());
    const tokens = this.#tokens;
    this.#api = { storage, registry, rules: builtInRules(storage), runtime, tokens };
    followDefinitions(storage, registry, (collection) => this.#endWatches(collection));
    seedObjects(this.#api);
    this.#adminToken = options.adminToken ?? uuid(runtime.random);
    this.#tokens.add(this.#adminToken, adminUser);
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      this.#accept(request, response).catch((error: unknown) => sendFailure(response, error));
    };
    const address = options.address ?? '127.0.0.1';
    const tls =
      options.transport === 'http' ? undefined : makeServerCertificate(runtime, [address]);
    this.#certificate = tls;
    this.#server =
      tls === undefined
        ? createHttpServer(listener)
        : createHttpsServer({ key: tls.key, cert: tls.cert }, listener);
    // Watches are silent for minutes; ordinary requests are bounded by the body limit.
    this.#server.requestTimeout = 0;
    this.#server.keepAliveTimeout = 60_000;
  }

  listen(): Promise<void> {
    return this.#listen(this.#options.port ?? 0);
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, this.#options.address ?? '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  surface(): ApiServer {
    // A TCP server that listens has an AddressInfo.
    const { port, address } = this.#server.address() as AddressInfo;
    const scheme = this.#certificate === undefined ? 'http' : 'https';
    const url = `${scheme}://${address}:${port}`;
    const caPem = this.#certificate?.ca ?? '';
    return {
      url,
      port,
      caPem,
      adminToken: this.#adminToken,
      kubeconfig: (token = this.#adminToken) => kubeconfigText({ url, caPem, token }),
      issueToken: (binding) => this.#issueToken(binding),
      faults: this.#faults,
      compact: () => this.#api.storage.compact(),
      cutConnections: () => this.#server.closeAllConnections(),
      interrupt: () => this.#close(),
      resume: () => this.#listen(port),
      close: () => this.#close(),
    };
  }

  #issueToken(binding: TokenBinding): string {
    const token = uuid(this.#options.runtime.random);
    this.#tokens.add(token, serviceAccountUser(binding, token));
    return token;
  }

  #close(): Promise<void> {
    this.#endWatches(undefined);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #endWatches(collection: string | undefined): void {
    for (const [watch, watched] of [...this.#watches]) {
      if (collection === undefined || watched === collection) watch.end();
    }
  }

  async #accept(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(message.url ?? '/', 'http://server');
    const isWatch = ['true', '1'].includes(url.searchParams.get('watch') ?? '');
    const method = message.method ?? 'GET';
    const faults = this.#faults.take({ method, path: url.pathname, isWatch });
    const isMet = await this.#meetFaults(faults, response);
    if (isMet) return;
    if (['/healthz', '/livez', '/readyz'].includes(url.pathname)) {
      sendReply(response, { code: 200, body: 'ok', warnings: [] });
      return;
    }
    const user = this.#tokens.userOf(message, this.#options.runtime.clock.wallMs());
    if (user === undefined) throw refusal(401, 'Unauthorized', 'Unauthorized');
    const proxied = podProxyTarget(this.#api, url);
    if (proxied !== undefined) return forwardToPod(proxied, message, response);
    const body = await this.#readText(message, url.pathname);
    const request: ApiRequest = {
      method,
      path: url.pathname,
      query: url.searchParams,
      accept: message.headers.accept ?? '',
      contentType: message.headers['content-type'] ?? '',
      userAgent: message.headers['user-agent'] ?? '',
      user,
      body,
    };
    this.#answer(request, response, faults);
  }

  /** The body as JSON text, whatever it came in. */
  async #readText(message: IncomingMessage, path: string): Promise<string> {
    const body = await readBody(message);
    const isPlain = !isProtobuf(message.headers['content-type'] ?? '') || body.length === 0;
    if (isPlain) return body.toString('utf8');
    // A kind that is not served is no question of its form: `create role` is to hear 404, not 415.
    if (resourcePath(this.#api.registry, path) === undefined) throw noSuchResource();
    return JSON.stringify(parseProtobuf(body));
  }

  #answer(request: ApiRequest, response: ServerResponse, faults: readonly Fault[]): void {
    const watched = watchScope(this.#api, request);
    if (watched !== undefined) {
      const textOf = this.#eventText(
        request,
        watched.scope.kind.kind === '' ? '' : request.accept,
        watched,
      );
      this.#startWatch({ ...watched, textOf }, response, faults);
      return;
    }
    const address = `${this.#options.address ?? '127.0.0.1'}`;
    const isDocument = request.method === 'GET';
    const document = isDocument ? documentReply(this.#api, request, address) : undefined;
    const isKnown = document !== undefined || /^\/apis?\//.test(request.path);
    if (!isKnown) throw noSuchResource();
    sendReply(response, document ?? answer(this.#api, request));
  }

  /** How this client wants objects in its events. */
  #eventText(
    request: ApiRequest,
    accept: string,
    watched: NonNullable<ReturnType<typeof watchScope>>,
  ): EventText {
    const { kind } = watched.scope;
    const form = acceptedForms(accept)[0]?.form ?? '';
    if (form === 'PartialObjectMetadata') return (object) => JSON.stringify(metadataOnly(object));
    if (form !== 'Table') return (object) => viewText(kind, object);
    return (object) => {
      const nowMs = this.#options.runtime.clock.wallMs();
      const content = rowContent(request.query);
      const metadata = { resourceVersion: String(this.#api.storage.revision) };
      return JSON.stringify(tableOf({ kind, objects: [object], content, nowMs, metadata }));
    };
  }

  #startWatch(
    options: ConstructorParameters<typeof Watch>[2],
    response: ServerResponse,
    faults: readonly Fault[],
  ): void {
    const watch = new Watch(this.#api, response, options);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (faults.some((fault) => fault.kind === 'cut-watch')) {
      response.end();
      return;
    }
    this.#watches.set(watch, collectionOf(options.scope.kind));
    response.once('close', () => this.#watches.delete(watch));
    if (!faults.some((fault) => fault.kind === 'stale-watch')) watch.start();
  }

  /** True when a fault has answered in the server's place. */
  async #meetFaults(faults: readonly Fault[], response: ServerResponse): Promise<boolean> {
    for (const fault of faults) {
      if (fault.kind === 'latency') await this.#wait(fault.ms);
      if (fault.kind === 'reset') {
        response.socket?.resetAndDestroy();
        return true;
      }
      if (fault.kind === 'status') {
        const seconds = fault.retryAfterSeconds;
        const status = statusObject(fault.code, 'InjectedFault', 'an injected fault');
        sendFailure(response, new StatusFailure(status, fault.code, seconds));
        return true;
      }
    }
    return false;
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.runtime.timers.after(ms, resolve);
    });
  }
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of message) {
    // Without setEncoding an IncomingMessage yields Buffers.
    const chunk = part as Buffer;
    bytes += chunk.length;
    if (bytes > bodyBytesMax) {
      throw refusal(413, 'RequestEntityTooLarge', `limit is ${bodyBytesMax}`);
    }
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

function sendReply(response: ServerResponse, reply: Reply): void {
  const { body } = reply;
  const isRaw = typeof body === 'string' || Buffer.isBuffer(body);
  const content = isRaw ? body : `${JSON.stringify(body)}\n`;
  const usualType = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
  for (const warning of reply.warnings) {
    response.appendHeader('warning', `299 - ${JSON.stringify(warning)}`);
  }
  response.writeHead(reply.code, {
    'content-type': reply.contentType ?? usualType,
    'content-length': Buffer.byteLength(content),
    'cache-control': 'no-cache, private',
  });
  response.end(content);
}

function sendFailure(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const failure =
    error instanceof StatusFailure
      ? error
      : refusal(
          500,
          'InternalError',
          `BUG: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
  if (failure.retryAfterSeconds !== undefined) {
    response.setHeader('retry-after', String(failure.retryAfterSeconds));
  }
  sendReply(response, { code: failure.code, body: failure.status, warnings: [] });
}
