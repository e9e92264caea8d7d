// One try of an exchange at one endpoint: its connection, its place in the counters of requests in
// flight, and the record of how it went. It ends once, whatever ends it.
import { assert } from '../lib/assert.ts';
import type { Backend, Destination, Endpoint } from '../route/index.ts';
import { noteAnswer, noteBegun, noteFailed } from './attempt-fate.ts';
import type { Engine } from './engine.ts';
import { deadlineExceeded, grpcStatusIn, httpStatusOf } from './grpc.ts';
import { grpcTimeoutMs, isLateForCaller, statusInHead, unknownStatus } from './grpc.ts';
import type { Hop } from './hop.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { AttemptFacts, ExchangeFacts } from './observer.ts';
import type { Ticket } from './places.ts';
import { poolsTo } from './pod-pools.ts';
import type { Pools } from './pool.ts';
import type { Reason } from './refusals.ts';
import { noteLatency, noteWaited } from './slow-mark.ts';
import { longBodyBytes } from './tunnel-bodies.ts';
import { readTunnelRefusal } from './tunnel-fields.ts';
import { refusedThere } from './tunnel-refusal.ts';
import type { RefusedThere } from './tunnel-refusal.ts';
import type { Carriage, TunnelTaker } from './tunnel-wait.ts';
import type { UpstreamConnection } from './upstream.ts';

/** The exchange that tries. */
type AttemptedExchange = ExchangeFacts & {
  readonly request: HttpRequestHead;
};

export type AttemptOptions = {
  readonly engine: Engine;
  readonly facts: AttemptedExchange;
  /** Has its place at the endpoint, where it needs one. */
  readonly ticket: Ticket | undefined;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly destination: Destination;
  readonly hop: Hop;
  /** Skip idle connections, because one of them turned out to be stale. */
  readonly wantsFresh: boolean;
  readonly connectTimeoutMs: number;
};

export class Attempt implements AttemptFacts, TunnelTaker {
  connection: Carriage;
  /** The connection was idle: it can be written to at once, and it may be stale. */
  isReused: boolean;
  /** By a pod of HTTP/2, which says that it has not looked at the request. */
  readonly mayBeRefused: boolean;
  /** Every endpoint was tried before this. */
  readonly isPatient: boolean;
  /** The request's body is long. */
  readonly isLong: boolean;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly destination: Destination;
  status = 0;
  grpcStatus: number | undefined;
  reason: Reason | undefined;
  durationMs = 0;
  /** It was given up before the pod had done its part. */
  isCancelled = false;
  saysNothing = false;
  readonly hop: Hop;
  /** The other proxy has refused; the rest of its answer is nobody's. */
  refusal: RefusedThere | undefined;
  readonly #engine: Engine;
  readonly #exchange: AttemptedExchange;
  readonly #loadCell: number;
  readonly #placeCell: number | undefined;
  readonly #startedMs: number;
  #hasEnded = false;
  /** Its endpoint has been judged by the head of the answer. */
  #hasAnswered = false;
  /** Of a call of gRPC whose trailers will say how it went: the head. */
  #begun: HttpResponseHead | undefined;

  constructor(options: AttemptOptions) {
    const { engine, endpoint, hop, connectTimeoutMs } = options;
    this.isPatient = options.facts.attempts > options.backend.endpoints.length;
    this.mayBeRefused = isHttp2To(options.backend, hop);
    const { ticket } = options;
    const stream = this.mayBeRefused
      ? engine.http2Pools.take(endpoint, connectTimeoutMs, ticket)
      : undefined;
    const wantsIdle = !this.mayBeRefused && !options.wantsFresh;
    this.isLong = isLong(options.facts.request);
    this.hop = hop;
    // What goes by tunnel needs no pool of TLS.
    const pools = hop.tunnel === undefined ? poolsTo(engine, options.backend) : engine.pools;
    const idle = wantsIdle ? takeIdle(engine, pools, endpoint, this) : undefined;
    this.connection = stream
      ?? idle
      ?? this.#openTunnel(engine, hop, connectTimeoutMs)
      ?? pools.open(endpoint, connectTimeoutMs, ticket);
    this.isReused = idle !== undefined || stream?.isReady === true;
    this.backend = options.backend;
    this.endpoint = endpoint;
    this.destination = options.destination;
    this.#engine = engine;
    this.#exchange = options.facts;
    if (hop.plainReason !== undefined) engine.observer.wentPlain(hop.plainReason);
    const place = ticket?.takeCell();
    // Copies are counted apart from the place that they have among all.
    this.#placeCell = engine.carriesCopies ? place : undefined;
    this.#loadCell = engine.loads.countUp(endpoint, engine.carriesCopies ? undefined : place);
    if (ticket !== undefined) engine.gate.begun(ticket, endpoint);
    this.#startedMs = engine.clock.nowMs();
  }

  tunnelOpened(connection: UpstreamConnection, isReused: boolean): void {
    this.connection = connection;
    this.isReused = isReused;
  }

  /** Whether this answer is the other proxy's refusal, and no pod's. */
  isRefusedBy(head: HttpResponseHead): boolean {
    const told = this.hop.tunnel === undefined ? undefined : readTunnelRefusal(head.fields);
    this.refusal = told && refusedThere(told);
    if (told !== undefined) return true;
    // A hedge has been asked before its exchange asks again.
    if (this.#hasAnswered) return false;
    this.#hasAnswered = true;
    const latencyMs = this.ageMs;
    const called = statusInHead(head);
    if (called === 'later') {
      this.#begun = head;
      noteBegun(this.#engine, this.endpoint, latencyMs);
    } else if (called !== undefined) {
      this.#judgeCall(called, head.fields, latencyMs);
    } else {
      this.#judge(head.status, head.fields, latencyMs);
    }
    if (head.status < 500) this.#slowMark(noteLatency, latencyMs);
    return false;
  }

  get ageMs(): number {
    return this.#engine.clock.nowMs() - this.#startedMs;
  }

  /** The answer is complete. */
  answerEnded(trailers: Fields | undefined): void {
    const head = this.#begun;
    if (head === undefined) return;
    const said = trailers === undefined ? undefined : grpcStatusIn(trailers);
    this.#judgeCall(said ?? unknownStatus, head.fields, undefined);
  }

  /** By its status; what came too late for an impatient caller only says that the pod answers. */
  #judgeCall(status: number, fields: Fields, latencyMs: number | undefined): void {
    const { clock, loads } = this.#engine;
    const { request, startedMs } = this.#exchange;
    this.grpcStatus = status;
    this.saysNothing =
      status === deadlineExceeded && isLateForCaller(request, clock.nowMs() - startedMs);
    if (!this.saysNothing) this.#judge(httpStatusOf(status), fields, latencyMs);
    else if (latencyMs !== undefined) loads.waitedFor(this.endpoint, latencyMs);
  }

  #judge(status: number, fields: Fields, latencyMs: number | undefined): void {
    const isEjected = noteAnswer(this.#engine, this.endpoint, { status, fields, latencyMs });
    if (isEjected) this.#tellEjected();
  }

  /** Counts down and tells; the connection is the caller's to release or destroy. */
  end(status: number, reason: Reason | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.status = status;
    this.reason = reason;
    this.durationMs = this.ageMs;
    this.#engine.loads.countDown(this.#loadCell);
    if (this.#placeCell !== undefined) this.#engine.slots.countDown(this.#placeCell);
    const isShaped = this.#exchange.host?.rules.shaping !== undefined;
    if (isShaped) this.#engine.gate.freed(this.#exchange, this.endpoint);
    this.#noteEnd();
    if (isShaped) this.#engine.gate.ended(this.#exchange, this, this.hop);
    this.#engine.observer.attemptFinished(this.#exchange, this);
  }

  /** What its end says of the endpoint that its answer has not said already. */
  #noteEnd(): void {
    const { reason, endpoint } = this;
    if (this.isCancelled) {
      this.#noteWaited();
      if (reason === 'TimeoutRequest' && !this.#hasAnswered) this.#noteExpired();
      return;
    }
    const isStale = this.isReused && !this.#hasAnswered && reason === 'UpstreamReset';
    if (reason === undefined || isStale) return;
    this.saysNothing = this.#isOfCaller(reason);
    if (this.saysNothing) return this.#noteWaited();
    if (noteFailed(this.#engine, endpoint, reason)) this.#tellEjected();
  }

  #noteWaited(): void {
    if (this.#hasAnswered) return;
    this.#engine.loads.waitedFor(this.endpoint, this.durationMs);
    this.#slowMark(noteWaited, this.durationMs);
  }

  /** The caller's own time is up: as long as he wanted to wait, however late we looked. */
  #noteExpired(): void {
    const { loads, random } = this.#engine;
    const wantedMs = grpcTimeoutMs(this.#exchange.request.fields) ?? this.durationMs;
    const waitedMs = Math.min(wantedMs, this.durationMs);
    if (loads.expired(this.endpoint, waitedMs, random)) this.#tellEjected();
  }

  /** Some pods reset calls whose caller has no time left; and streams are silent as they like. */
  #isOfCaller(reason: Reason): boolean {
    if (reason === 'TimeoutIdle') return this.#hasAnswered;
    const { request } = this.#exchange;
    return reason === 'UpstreamReset' && isLateForCaller(request, this.durationMs);
  }

  /** Measured for hedges alone, and by the proxy that makes them. */
  #slowMark(note: typeof noteLatency, latencyMs: number): void {
    const { host } = this.#exchange;
    if (host?.rules.shaping?.hedgeAfterMs !== 'p95' || this.#engine.answersTunnels) return;
    note(this.#engine.budgets.of(host), latencyMs);
  }

  #tellEjected(): void {
    this.#engine.observer.endpointEjected(this.#exchange);
  }

  /** Undefined: none is due. */
  #openTunnel(engine: Engine, { tunnel }: Hop, waitMs: number): Carriage | undefined {
    if (tunnel === undefined) return undefined;
    assert(engine.tunnels !== undefined, 'a tunnel is due where none can be opened');
    return engine.tunnels.await(tunnel, waitMs, this);
  }
}

/** Tunnels carry HTTP/1.1 as such; the proxy at their end speaks to the pod. */
function isHttp2To({ scheme }: Backend, { tunnel }: Hop): boolean {
  return scheme === 'h2c' && tunnel === undefined;
}

function takeIdle(
  { tunnels }: Engine,
  pools: Pools,
  endpoint: Endpoint,
  { hop, isLong: isLongBody }: Attempt,
): UpstreamConnection | undefined {
  if (hop.tunnel === undefined) return pools.take(endpoint);
  return tunnels?.take(hop.tunnel, isLongBody);
}

function isLong({ framing }: HttpRequestHead): boolean {
  return framing.kind === 'length' && framing.length > longBodyBytes;
}
