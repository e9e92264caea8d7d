// An API server in memory, at the seam of src/kube/transport.ts: one kind, with lists in pages,
// watches, bookmarks, streamed lists, compaction – and every fault that a watcher may meet, on
// command. It speaks the bytes of the real one but checks nothing that clients send.
import type { Transport, TransportAnswer, TransportRequest } from '../../../src/kube/index.ts';
import { ByteStream } from './byte-stream.ts';

type Meta = { name: string; namespace: string; uid: string; resourceVersion: string };
export type Thing = { readonly metadata: Meta; readonly spec: { readonly color: string } };
type Logged = { readonly version: number; readonly type: string; readonly object: Thing };
type Refusal = { readonly status: number; readonly retryAfterMs?: number };

export class MemoryServer {
  readonly transport: Transport;
  /** Every request, as `GET /path?query`. */
  readonly requests: string[] = [];
  readonly objects = new Map<string, Thing>();
  streamsLists = true;
  /** Refuses connections. */
  isDown = false;
  /** Accepts watches and says nothing. */
  isMute = false;
  /** The kind is served. */
  isServed = true;
  readonly #path: string;
  #version = 10_000;
  #compacted = 0;
  #uids = 0;
  #log: Logged[] = [];
  #streams = new Set<ByteStream>();
  #refusals: Refusal[] = [];

  constructor(path: string) {
    this.#path = path;
    this.transport = {
      server: 'https://memory',
      send: (request) => this.#send(request),
      close: () => Promise.resolve(),
    };
  }

  get version(): number {
    return this.#version;
  }

  get openWatches(): number {
    return this.#streams.size;
  }

  put(name: string, color: string): void {
    const old = this.objects.get(name);
    this.#version += 1;
    this.#uids += 1;
    const uid = old?.metadata.uid ?? `uid-${this.#uids}`;
    const resourceVersion = String(this.#version);
    const object = {
      metadata: { name, namespace: 'default', uid, resourceVersion },
      spec: { color },
    };
    this.objects.set(name, object);
    const type = old === undefined ? 'ADDED' : 'MODIFIED';
    this.#publish({ version: this.#version, type, object });
  }

  remove(name: string): void {
    const old = this.objects.get(name);
    if (old === undefined) return;
    this.#version += 1;
    this.objects.delete(name);
    const metadata = { ...old.metadata, resourceVersion: String(this.#version) };
    this.#publish({ version: this.#version, type: 'DELETED', object: { ...old, metadata } });
  }

  bookmark(): void {
    this.sendLine({ type: 'BOOKMARK', object: this.#bookmarkObject(this.#version, {}) });
  }

  /** An event in every open watch that is in no log. */
  sendLine(event: unknown): void {
    this.sendBytes(`${JSON.stringify(event)}\n`);
  }

  sendBytes(text: string): void {
    for (const stream of this.#streams) stream.push(text);
  }

  errorEvent(code: number, reason: string): void {
    const object = { kind: 'Status', status: 'Failure', code, reason, message: reason };
    this.sendLine({ type: 'ERROR', object });
  }

  /** Ends every watch: properly, as `timeoutSeconds` does, or as a reset. */
  closeWatches(how: 'end' | 'reset'): void {
    const streams = [...this.#streams];
    this.#streams.clear();
    for (const stream of streams) {
      if (how === 'end') stream.end();
      else stream.fail(Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }));
    }
  }

  /** Watches from before now are answered 410. */
  compact(): void {
    this.#compacted = this.#version;
    this.#log = [];
  }

  /** A restored backup: other objects, and a history that ends earlier. */
  restore(version: number, colors: ReadonlyMap<string, string>): void {
    this.closeWatches('reset');
    this.#version = version;
    this.#log = [];
    this.#compacted = 0;
    this.objects.clear();
    for (const [name, color] of colors) this.put(name, color);
  }

  /** The next requests are answered so, in this order. */
  refuse(...refusals: readonly Refusal[]): void {
    for (const refusal of refusals) this.#refusals.push(refusal);
  }

  /** All faults stop. */
  heal(): void {
    this.#refusals = [];
    this.isDown = false;
    this.isMute = false;
    this.isServed = true;
  }

  #publish(event: Logged): void {
    this.#log.push(event);
    if (!this.isMute) this.sendLine({ type: event.type, object: event.object });
  }

  async #send(request: TransportRequest): Promise<TransportAnswer> {
    this.requests.push(`${request.method} ${request.target}`);
    await Promise.resolve();
    if (request.signal.aborted) throw abortError();
    if (this.isDown) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    const refusal = this.#refusals.shift();
    if (refusal !== undefined) return status(refusal.status, '', refusal.retryAfterMs);
    const url = new URL(request.target, 'https://memory');
    if (url.pathname !== this.#path || !this.isServed) return status(404, 'NotFound');
    if (url.searchParams.get('watch') === 'true') return this.#watch(url.searchParams, request);
    return this.#list(url.searchParams);
  }

  #list(query: URLSearchParams): TransportAnswer {
    const limit = Number(query.get('limit') ?? '500');
    const from = Number(query.get('continue') ?? '0');
    const all = [...this.objects.values()];
    const isMore = from + limit < all.length;
    const next = isMore ? { continue: String(from + limit) } : {};
    const metadata = { resourceVersion: String(this.#version), ...next };
    return answer(200, JSON.stringify({ metadata, items: all.slice(from, from + limit) }));
  }

  #watch(query: URLSearchParams, request: TransportRequest): TransportAnswer {
    const isInitial = query.get('sendInitialEvents') === 'true';
    if (isInitial && !this.streamsLists) return status(422, 'Invalid');
    const from = Number(query.get('resourceVersion') ?? '0');
    if (!isInitial && from < this.#compacted) return status(410, 'Expired');
    const stream = new ByteStream(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    request.signal.addEventListener('abort', () => {
      this.#streams.delete(stream);
      stream.fail(abortError());
    });
    if (isInitial) this.#sendInitial(stream);
    else if (!this.isMute) this.#sendSince(from, stream);
    return { status: 200, retryAfterMs: undefined, body: stream };
  }

  #sendInitial(stream: ByteStream): void {
    for (const object of this.objects.values()) {
      stream.push(`${JSON.stringify({ type: 'ADDED', object })}\n`);
    }
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    const object = this.#bookmarkObject(this.#version, annotations);
    stream.push(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  #sendSince(version: number, stream: ByteStream): void {
    for (const event of this.#log) {
      if (event.version <= version) continue;
      stream.push(`${JSON.stringify({ type: event.type, object: event.object })}\n`);
    }
  }

  #bookmarkObject(version: number, annotations: Readonly<Record<string, string>>): unknown {
    return { metadata: { resourceVersion: String(version), annotations } };
  }
}

function status(code: number, reason: string, retryAfterMs?: number): TransportAnswer {
  const body = { kind: 'Status', status: 'Failure', code, reason, message: reason };
  return { ...answer(code, JSON.stringify(body)), retryAfterMs };
}

function answer(code: number, text: string): TransportAnswer {
  const body = new ByteStream();
  body.push(text);
  body.end();
  return { status: code, retryAfterMs: undefined, body };
}

function abortError(): Error {
  return Object.assign(new Error('aborted'), { name: 'AbortError' });
}
