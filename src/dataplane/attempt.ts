// One try of an exchange at one endpoint: its connection, its place in the counters of requests in
// flight, and the record of how it went. It ends once, whatever ends it.
import type { Backend, Destination, Endpoint } from '../route/index.ts';
import type { Engine } from './engine.ts';
import type { ExchangeFacts } from './observer.ts';
import type { Reason } from './refusals.ts';
import type { UpstreamConnection } from './upstream.ts';

export type AttemptOptions = {
  readonly engine: Engine;
  readonly facts: ExchangeFacts;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly destination: Destination;
  /** Skip idle connections, because one of them turned out to be stale. */
  readonly wantsFresh: boolean;
  readonly connectTimeoutMs: number;
};

export type AttemptEnd = {
  readonly status: number;
  readonly reason: Reason | undefined;
  readonly isCancelled: boolean;
};

export class Attempt {
  readonly connection: UpstreamConnection;
  /** The connection was idle: it can be written to at once, and it may be stale. */
  readonly isReused: boolean;
  readonly #options: AttemptOptions;
  readonly #loadCell: number;
  readonly #startedMs: number;
  #hasEnded = false;

  constructor(options: AttemptOptions) {
    const { engine, endpoint } = options;
    const idle = options.wantsFresh ? undefined : engine.pools.take(endpoint);
    this.connection = idle ?? engine.pools.open(endpoint, options.connectTimeoutMs);
    this.isReused = idle !== undefined;
    this.#options = options;
    this.#loadCell = engine.loads.countUp(endpoint);
    this.#startedMs = engine.clock.nowMs();
  }

  /** Counts down and tells; the connection is the caller's to release or destroy. */
  end({ status, reason, isCancelled }: AttemptEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const { engine, facts, backend, endpoint, destination } = this.#options;
    engine.loads.countDown(this.#loadCell);
    engine.observer.attemptFinished(facts, {
      backend,
      endpoint,
      destination,
      status,
      reason,
      durationMs: engine.clock.nowMs() - this.#startedMs,
      isCancelled,
    });
  }
}
