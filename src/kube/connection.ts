// Requests to one API server: typed verbs over a transport, with a deadline for every answer and a
// bound for every body. Paths are made by `resourcePath`. It repeats nothing by itself: what may be
// repeated, and when, is known to the reflector, the work queue and the lease.
// It also knows whether the server could be reached last time, so that everybody who waits in a
// long back-off is woken by the first success of anybody.
import type { Runtime } from '../lib/clock.ts';
import { KubeFailure, failureOfError, failureOfStatus } from './client.ts';
import { notStarted } from './transport.ts';
import type { Transport, TransportAnswer, TransportRequest } from './transport.ts';

export type ResourcePath = {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
};

/** `/api/v1/namespaces/shop/services/web/status` and its like. */
export function resourcePath(parts: ResourcePath): string {
  const steps = [parts.group === '' ? '/api' : `/apis/${parts.group}`, parts.version];
  if (parts.namespace !== undefined) steps.push('namespaces', encodeURIComponent(parts.namespace));
  steps.push(parts.plural);
  if (parts.name !== undefined) steps.push(encodeURIComponent(parts.name));
  if (parts.subresource !== undefined) steps.push(parts.subresource);
  return steps.join('/');
}

/** Values that are `undefined` are left out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export type Patch = { readonly kind: 'merge' | 'json'; readonly body: unknown };

export type ApplyOptions = {
  /** Takes over fields that somebody else owns; only for objects that are ours. */
  readonly force?: boolean;
  /** Who owns the fields (`fieldManager` of the request). */
  readonly owner?: string;
};

/** Every verb throws KubeFailure, and answers with the decoded object. */
export type Connection = {
  readonly server: string;
  readonly get: (path: string, query?: Query) => Promise<unknown>;
  readonly create: (path: string, object: unknown, query?: Query) => Promise<unknown>;
  readonly update: (path: string, object: unknown, query?: Query) => Promise<unknown>;
  readonly patch: (path: string, patch: Patch, query?: Query) => Promise<unknown>;
  /** Server-side apply; the subresource is a part of the path. */
  readonly apply: (path: string, object: unknown, options?: ApplyOptions) => Promise<unknown>;
  readonly remove: (path: string, options?: unknown) => Promise<unknown>;
  /** The body of a watch; has no deadline, its reader watches over it. */
  readonly openStream: (
    path: string,
    query: Query,
    signal: AbortSignal,
  ) => Promise<AsyncIterable<Uint8Array>>;
  /** The same connection with another deadline for answers. */
  readonly within: (answerTimeoutMs: number) => Connection;
  /**
   * The same connection whose writes are sent only while `mayWrite` says so: asked right before
   * their first byte leaves, so that a leader that was stopped in the midst of one writes nothing
   * when it wakes up. Others fail as `Cancelled`. Reads are as before.
   */
  readonly onlyWhile: (mayWrite: () => boolean) => Connection;
  /** Calls back when the server answers again after it could not be reached. */
  readonly onReachable: (listener: () => void) => () => void;
  readonly close: () => Promise<void>;
};

const defaultOwner = 'weft-controller';

/** For everything but watches: as long as the API server's own request timeout allows twice. */
const answerTimeoutMs = 30_000;
/** A page of 500 objects of 100 kB; a single object cannot exceed etcd's 1.5 MB. */
const bodyBytesMax = 64 * 1024 * 1024;
const errorBytesMax = 64 * 1024;
const json = 'application/json';

export function connectionOver(transport: Transport, runtime: Runtime): Connection {
  return verbs(new OpenConnection(transport, runtime), { timeoutMs: answerTimeoutMs });
}

type Terms = { readonly timeoutMs: number; readonly mayStart?: () => boolean };

type Content = {
  readonly type: string;
  readonly body: unknown;
  readonly query: Query | undefined;
};

function verbs(open: OpenConnection, terms: Terms): Connection {
  const { timeoutMs } = terms;
  const write = (method: TransportRequest['method'], path: string, content: Content) =>
    open.call({ method, target: withQuery(path, content.query), ...terms, ...content });
  return {
    server: open.server,
    within: (otherMs) => verbs(open, { ...terms, timeoutMs: otherMs }),
    onlyWhile: (mayWrite) => verbs(open, { ...terms, mayStart: mayWrite }),
    get: (path, query) => open.call({ method: 'GET', target: withQuery(path, query), timeoutMs }),
    create: (path, body, query) => write('POST', path, { type: json, body, query }),
    update: (path, body, query) => write('PUT', path, { type: json, body, query }),
    patch: (path, patch, query) =>
      write('PATCH', path, {
        type: `application/${patch.kind}-patch+json`,
        body: patch.body,
        query,
      }),
    apply: (path, body, options) =>
      write('PATCH', path, {
        type: 'application/apply-patch+yaml',
        body,
        query: {
          fieldManager: options?.owner ?? defaultOwner,
          force: options?.force === true ? true : undefined,
        },
      }),
    remove: (path, options) =>
      write('DELETE', path, { type: json, body: options, query: undefined }),
    openStream: (path, query, signal) => open.stream(withQuery(path, query), signal),
    onReachable: (listener) => open.onReachable(listener),
    close: () => open.close(),
  };
}

type Call = {
  readonly method: TransportRequest['method'];
  readonly target: string;
  readonly timeoutMs: number;
  readonly mayStart?: () => boolean;
  readonly type?: string;
  readonly body?: unknown;
};

class OpenConnection {
  readonly #transport: Transport;
  readonly #runtime: Runtime;
  readonly #listeners = new Set<() => void>();
  #isReachable = true;

  constructor(transport: Transport, runtime: Runtime) {
    this.#transport = transport;
    this.#runtime = runtime;
  }

  get server(): string {
    return this.#transport.server;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async call(call: Call): Promise<unknown> {
    const abort = new AbortController();
    let hasTimedOut = false;
    const deadline = this.#runtime.timers.after(call.timeoutMs, () => {
      hasTimedOut = true;
      abort.abort();
    });
    const what = describe(call.method, call.target);
    try {
      const answer = await this.#send(call, abort.signal);
      return await this.#decode(what, answer);
    } catch (error) {
      if (!hasTimedOut) throw failureOfError(what, error);
      const after = `after ${call.timeoutMs}ms`;
      throw new KubeFailure('Timeout', `${what} timed out ${after}`, { cause: error });
    } finally {
      deadline.cancel();
    }
  }

  async stream(target: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const answer = await this.#send({ method: 'GET', target, timeoutMs: answerTimeoutMs }, signal);
    const what = describe('GET', target);
    if (answer.status === 200) return this.#translated(what, answer.body);
    throw await this.#refusal(what, answer);
  }

  onReachable(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #send(call: Call, signal: AbortSignal): Promise<TransportAnswer> {
    try {
      if (call.mayStart?.() === false) throw notStarted();
      const answer = await this.#transport.send({
        method: call.method,
        target: call.target,
        accept: json,
        contentType: call.body === undefined ? undefined : call.type,
        body: call.body === undefined ? undefined : JSON.stringify(call.body),
        headTimeoutMs: call.timeoutMs,
        signal,
        mayStart: call.mayStart,
      });
      this.#note(true);
      return answer;
    } catch (error) {
      throw this.#noted(failureOfError(describe(call.method, call.target), error));
    }
  }

  async *#translated(
    what: string,
    body: AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> {
    try {
      yield* body;
    } catch (error) {
      throw this.#noted(failureOfError(what, error));
    }
  }

  /** A watch that is cut is mostly the first that is seen of an outage. */
  #noted(failure: KubeFailure): KubeFailure {
    if (failure.reason === 'Unreachable') this.#note(false);
    return failure;
  }

  #note(isReachable: boolean): void {
    const isBack = isReachable && !this.#isReachable;
    this.#isReachable = isReachable;
    if (!isBack) return;
    for (const listener of [...this.#listeners]) listener();
  }

  async #decode(what: string, answer: TransportAnswer): Promise<unknown> {
    if (answer.status >= 300) throw await this.#refusal(what, answer);
    const text = await readText(what, answer.body, bodyBytesMax);
    return decodeJson(what, text);
  }

  async #refusal(what: string, answer: TransportAnswer): Promise<KubeFailure> {
    const text = await readText(what, answer.body, errorBytesMax).catch(() => '');
    return failureOfStatus(what, {
      status: answer.status,
      retryAfterMs: answer.retryAfterMs,
      body: parseOr(text, { message: text.slice(0, 200) }),
    });
  }
}

async function readText(
  what: string,
  body: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) {
      const message = `the answer to ${what} is longer than ${bytesMax} bytes`;
      throw new KubeFailure('BadResponse', message);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function decodeJson(what: string, text: string): unknown {
  try {
    // The cast keeps the `any` of JSON.parse from spreading.
    return JSON.parse(text) as unknown;
  } catch (error) {
    const message = `the answer to ${what} is no JSON (hint: is a proxy in the way?)`;
    throw new KubeFailure('BadResponse', message, { cause: error });
  }
}

function parseOr(text: string, otherwise: unknown): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // An error page of something in between is no Status; its first characters serve as message.
    return otherwise;
  }
}

function withQuery(path: string, query: Query | undefined): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(key, String(value));
  }
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}

function describe(method: string, target: string): string {
  const query = target.indexOf('?');
  return `${method} ${query < 0 ? target : target.slice(0, query)}`;
}
