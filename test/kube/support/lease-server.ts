// One Lease in memory behind several transports, one per replica, each of which can be cut off or
// made to hang: what the API server guarantees about it (optimistic locking) and nothing else.
import type { Transport, TransportAnswer, TransportRequest } from '../../../src/kube/index.ts';
import { ByteStream } from './byte-stream.ts';

type Spec = {
  readonly holderIdentity: string;
  readonly renewTime: string;
  readonly acquireTime: string;
  readonly leaseTransitions: number;
};
type Lease = { readonly metadata: { readonly resourceVersion?: string }; readonly spec: Spec };

export class LeaseServer {
  /** Called between a write and its answer. */
  onWrite: () => void = () => undefined;
  #lease: Lease | undefined;
  #version = 0;
  readonly #cutOff = new Set<string>();
  readonly #hanging = new Set<string>();

  get holder(): string | undefined {
    return this.#lease?.spec.holderIdentity;
  }

  get transitions(): number | undefined {
    return this.#lease?.spec.leaseTransitions;
  }

  get acquireTime(): string | undefined {
    return this.#lease?.spec.acquireTime;
  }

  get renewTime(): string | undefined {
    return this.#lease?.spec.renewTime;
  }

  cutOff(identity: string): void {
    this.#cutOff.add(identity);
  }

  /** Requests of this replica get no answer until they are aborted. */
  hang(identity: string): void {
    this.#hanging.add(identity);
  }

  reconnect(): void {
    this.#cutOff.clear();
    this.#hanging.clear();
  }

  transportOf(identity: string): Transport {
    return {
      server: 'https://memory',
      send: (request) => this.#send(identity, request),
      close: () => Promise.resolve(),
    };
  }

  async #send(identity: string, request: TransportRequest): Promise<TransportAnswer> {
    await Promise.resolve();
    if (this.#cutOff.has(identity)) {
      throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    }
    if (this.#hanging.has(identity)) {
      await new Promise((_, reject) => {
        const abort = (): void => reject(new DOMException('aborted', 'AbortError'));
        request.signal.addEventListener('abort', abort);
      });
    }
    if (request.method === 'GET') {
      return this.#lease === undefined ? said(404) : said(200, this.#lease);
    }
    // Only leases are sent here.
    const lease = JSON.parse(request.body ?? '') as Lease;
    const isStale = lease.metadata.resourceVersion !== this.#lease?.metadata.resourceVersion;
    if (isStale) return said(409);
    this.#version += 1;
    this.#lease = { ...lease, metadata: { resourceVersion: String(this.#version) } };
    this.onWrite();
    return said(200, this.#lease);
  }
}

function said(status: number, body: unknown = {}): TransportAnswer {
  const stream = new ByteStream();
  stream.push(JSON.stringify(body));
  stream.end();
  return { status, retryAfterMs: undefined, body: stream };
}
