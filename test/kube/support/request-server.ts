// Certificate requests in memory, at the seam of the transport: creates, gets and one watch, with
// the faults that an asker may meet. It checks nothing; a test says what each request is answered.
import type { Transport, TransportAnswer, TransportRequest } from '../../../src/kube/index.ts';
import { ByteStream } from './byte-stream.ts';

export type StoredRequest = {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: {
    readonly certificate?: string;
    readonly conditions?: readonly { readonly type: string; readonly reason: string }[];
  };
};

/** What a create meets: `lost`: it is stored and not answered; `taken`: somebody has the name. */
export type CreateFate = 'stored' | 'lost' | 'taken' | 'forbidden' | 'hangs';

export class RequestServer {
  readonly transport: Transport;
  readonly objects = new Map<string, StoredRequest>();
  readonly created: StoredRequest[] = [];
  /** Of the next creates; then `stored`. */
  readonly fates: CreateFate[] = [];
  /** Creates that have come and are not answered, at most at once. */
  inFlightMax = 0;
  /** Creates are answered only when this settles. */
  hold: Promise<void> = Promise.resolve();
  /** Whose token the creates come with: what the real server stamps. */
  podUid = '';
  #inFlight = 0;
  #version = 100;
  readonly #streams = new Set<ByteStream>();

  constructor() {
    this.transport = {
      server: 'https://memory',
      send: (request) => this.#send(request),
      close: () => Promise.resolve(),
    };
  }

  /** As the controller does it. */
  answer(name: string, status: StoredRequest['status']): void {
    const object = this.objects.get(name);
    if (object === undefined) throw new Error(`there is no request ${name}`);
    this.#store({ ...object, status });
  }

  /** As the controller clears it away. */
  remove(name: string): void {
    const object = this.objects.get(name);
    if (object === undefined) throw new Error(`there is no request ${name}`);
    this.objects.delete(name);
    this.#version += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    const event = { type: 'DELETED', object: { ...object, metadata } };
    for (const stream of this.#streams) stream.push(`${JSON.stringify(event)}\n`);
  }

  #store(object: StoredRequest): StoredRequest {
    this.#version += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    const stored = { ...object, metadata };
    const type = this.objects.has(metadata.name) ? 'MODIFIED' : 'ADDED';
    this.objects.set(metadata.name, stored);
    for (const stream of this.#streams) {
      stream.push(`${JSON.stringify({ type, object: stored })}\n`);
    }
    return stored;
  }

  async #send(request: TransportRequest): Promise<TransportAnswer> {
    await Promise.resolve();
    if (request.target.includes('watch=true')) return this.#watch(request.signal);
    if (request.method === 'POST') return this.#create(request);
    const name = request.target.split('?')[0]?.split('/').at(-1) ?? '';
    if (name === 'certificatesigningrequests') return this.#list();
    const object = this.objects.get(name);
    return object === undefined ? said(404) : said(200, object);
  }

  #list(): TransportAnswer {
    const metadata = { resourceVersion: String(this.#version) };
    return said(200, { metadata, items: [...this.objects.values()] });
  }

  async #create(request: TransportRequest): Promise<TransportAnswer> {
    // Only certificate requests are sent here.
    const given = JSON.parse(request.body ?? '') as StoredRequest;
    const { name } = given.metadata;
    const fate = this.fates.shift() ?? 'stored';
    this.#inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.#inFlight);
    await this.hold;
    this.#inFlight -= 1;
    if (fate === 'forbidden') return said(403);
    if (fate === 'hangs') return forEver(request.signal);
    if (fate === 'taken') {
      this.#store({ ...given, metadata: { ...given.metadata, uid: 'foreign' }, spec: {} });
      throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    }
    if (this.objects.has(name)) return said(409, { reason: 'AlreadyExists' });
    const uid = `uid-${this.created.length}`;
    const extra = { 'authentication.kubernetes.io/pod-uid': [this.podUid] };
    const spec = { ...given.spec, extra };
    const metadata = { ...given.metadata, uid };
    const stored = this.#store({ ...given, metadata, spec, status: {} });
    this.created.push(stored);
    if (fate === 'lost') throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    return said(201, stored);
  }

  #watch(signal: AbortSignal): TransportAnswer {
    const stream = new ByteStream(() => this.#streams.delete(stream));
    signal.addEventListener('abort', () =>
      stream.fail(new DOMException('aborted', 'AbortError')),
    );
    this.#streams.add(stream);
    for (const object of this.objects.values()) {
      stream.push(`${JSON.stringify({ type: 'ADDED', object })}\n`);
    }
    const metadata = {
      resourceVersion: String(this.#version),
      annotations: { 'k8s.io/initial-events-end': 'true' },
    };
    stream.push(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata } })}\n`);
    return { status: 200, retryAfterMs: undefined, body: stream };
  }
}

function said(status: number, body: unknown = {}): TransportAnswer {
  const stream = new ByteStream();
  stream.push(JSON.stringify(body));
  stream.end();
  return { status, retryAfterMs: undefined, body: stream };
}

function forEver(signal: AbortSignal): Promise<TransportAnswer> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
  });
}
