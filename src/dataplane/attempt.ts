// One try of an exchange at one endpoint: its connection, its place in the counters of requests in
// flight, and the record of how it went. It ends once, whatever ends it.
import type { Backend, Destination, Endpoint } from '../route/index.ts';
import type { Engine } from './engine.ts';
import type { AttemptFacts, ExchangeFacts } from './observer.ts';
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

export class Attempt implements AttemptFacts {
  readonly connection: UpstreamConnection;
  /** The connection was idle: it can be written to at once, and it may be stale. */
  readonly isReused: boolean;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly destination: Destination;
  status = 0;
  reason: Reason | undefined;
  durationMs = 0;
  isCancelled = false;
  readonly #engine: Engine;
  readonly #exchange: ExchangeFacts;
  readonly #loadCell: number;
  readonly #startedMs: number;
  #hasEnded = false;

  constructor(options: AttemptOptions) {
    const { engine, endpoint } = options;
    const idle = options.wantsFresh ? undefined : engine.pools.take(endpoint);
    this.connection = idle ?? engine.pools.open(endpoint, options.connectTimeoutMs);
    this.isReused = idle !== undefined;
    this.backend = options.backend;
    this.endpoint = endpoint;
    this.destination = options.destination;
    this.#engine = engine;
    this.#exchange = options.facts;
    this.#loadCell = engine.loads.countUp(endpoint);
    this.#startedMs = engine.clock.nowMs();
  }

  /** It was given up before the pod had done its part. */
  cancel(status: number, reason: Reason | undefined): void {
    this.isCancelled = true;
    this.end(status, reason);
  }

  /** Counts down and tells; the connection is the caller's to release or destroy. */
  end(status: number, reason: Reason | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.status = status;
    this.reason = reason;
    this.durationMs = this.#engine.clock.nowMs() - this.#startedMs;
    this.#engine.loads.countDown(this.#loadCell);
    this.#engine.observer.attemptFinished(this.#exchange, this);
  }
}
