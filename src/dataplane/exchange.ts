// One HTTP request with its response: the place where all branches of a request are seen together.
// Admission, decision, attempts with their retries, the answer's way back, and one idempotent
// teardown (A10). The table is read once, when the request has come (A5); an endpoint is authorised
// when it is picked. After the first byte of an answer went out nothing is ever retried.
import { assert } from '../lib/assert.ts';
import type { Backend, Endpoint, RouteTable, Split, VirtualHost } from '../route/index.ts';
import { bodyBytesMaxOf, endsConnection, isOverloaded } from './admission.ts';
import { Attempt } from './attempt.ts';
import type { ConnectionFate } from './client.ts';
import { RetriedExchange } from './exchange-retries.ts';
import { statusToldBy } from './grpc.ts';
import { beginHedge, hedgeDelayMs, type Hedge, type Hedged } from './hedge.ts';
import type { Hop } from './hop.ts';
import type { Fields } from './http1/fields.ts';
import { interimResponsesMax } from './http1/limits.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { ExchangeOutcome } from './observer.ts';
import { poolsTo } from './pod-pools.ts';
import { failureReason, reasonStatus, refusalText } from './refusals.ts';
import type { Reason } from './refusals.ts';
import type { OwnConnections, Ticket } from './places.ts';
import { attemptKind, failedAnswer, isGood, type AttemptFailure } from './retry-policy.ts';
import { takeTurn } from './split-turn.ts';
import { Switched } from './switched.ts';
import { isOverThere, totalTimeOf } from './total-time.ts';
import type { WaitsUser } from './exchange-waits.ts';
import { noTunnel, type RefusedThere } from './tunnel-refusal.ts';
import type { UpstreamFailure, UpstreamUser } from './upstream.ts';

export class Exchange extends RetriedExchange implements UpstreamUser, WaitsUser, Hedged {
  ticket: Ticket | undefined;
  #attempt: Attempt | undefined;
  /** The second attempt beside a slow one; at most one is made (hedge.ts). */
  #hedge: Hedge | undefined;
  #bodyBytesMax = Infinity;
  #wantsFreshConnection = false;
  /** A pod may have got something of the request. */
  #wasSent = false;
  #interims = 0;
  #isFinished = false;

  // ---- the way of a request -------------------------------------------------------------------

  start(): void {
    const { observer, counts } = this.engine;
    const { decision, refusal } = this.plan;
    // The host is known before anything is told, so that what is counted up is counted down.
    this.host = decision.host;
    counts.exchanges += 1;
    observer.exchangeStarted(this);
    if (refusal !== undefined) this.refuse(refusal);
    else if (isOverloaded(this.engine)) this.refuse('Shedding');
    else if (this.request.maxForwards === 0) this.#answerHere();
    else if (decision.kind === 'refuse') this.refuse(decision.reason);
    else this.#forward(decision.host, decision.split);
  }

  /** Chooses the backend, which all attempts keep to, and makes the first attempt. */
  #forward(host: VirtualHost, split: Split): void {
    const framing = this.request.framing;
    this.#bodyBytesMax = bodyBytesMaxOf(this.engine, host.rules);
    if (framing.kind === 'length' && framing.length > this.#bodyBytesMax) {
      this.refuse('BadRequestBodyTooLarge');
      return;
    }
    this.backend = takeTurn(this.engine, split);
    const idleMs = host.rules.idleTimeoutMs ?? this.engine.limits.idleTimeoutMs;
    const total = totalTimeOf(host.rules.timeoutMs, this.plan);
    this.isCallersTime = total?.isCallers === true;
    this.client.waits.begin(this, idleMs, total?.ms);
    if (total?.ms === 0) this.refuse('TimeoutRequest');
    else if (!this.engine.gate.injectsFault(this)) this.#try();
  }

  /** Where an attempt may find a connection that is open already. */
  get spare(): OwnConnections | undefined {
    const { backend, engine } = this;
    if (backend?.scheme === 'h2c') return engine.http2Pools;
    const isUnsettled = this.#wantsFreshConnection || backend === undefined;
    return isUnsettled ? undefined : poolsTo(engine, backend);
  }

  pause(ms: number): void {
    this.client.waits.wait(ms);
  }

  resume(): void {
    this.client.waits.expire();
  }

  /** One attempt: pick, authorise, connect, send. */
  #try(): void {
    const { backend } = this;
    assert(backend !== undefined, 'an attempt at nothing');
    const { loads, random } = this.engine;
    const endpoint = loads.pick(backend, this.tried, random, this);
    if (endpoint === undefined) return this.refuse('NoEndpoints');
    const hop = this.plan.hopTo(backend, endpoint);
    const { verdict } = hop;
    this.endpoint = endpoint;
    this.destination = verdict.destination;
    // Retries repeat the decision for another pod; only a change of mind is news.
    const isNews = this.attempts === 0 || verdict.kind === 'deny';
    if (isNews && hop.isJudgedHere) this.engine.observer.policyDecided(this, verdict);
    if (verdict.kind === 'deny') this.refuse(verdict.reason);
    // No way there is as good as an endpoint that cannot be reached.
    else if (hop.way === 'none') this.#tryElsewhere('TunnelUnavailable', noTunnel);
    else this.#open(backend, endpoint, hop);
  }

  #open(backend: Backend, endpoint: Endpoint, hop: Hop): void {
    const { limits, gate, mirrors } = this.engine;
    const rules = this.host?.rules;
    if (rules?.shaping !== undefined && !gate.admits(this, endpoint, hop)) return;
    if (rules?.shaping !== undefined) mirrors?.take(this, this.plan, this.body);
    this.attempts += 1;
    const attempt = new Attempt({
      engine: this.engine,
      facts: this,
      ticket: this.ticket,
      backend,
      endpoint,
      destination: hop.verdict.destination,
      hop,
      wantsFresh: this.#wantsFreshConnection,
      connectTimeoutMs: rules?.connectTimeoutMs ?? limits.connectTimeoutMs,
    });
    this.#attempt = attempt;
    attempt.connection.use(this);
    if (rules?.perTryTimeoutMs !== undefined) this.client.waits.wait(rules.perTryTimeoutMs);
    const hedgeMs = this.#hedge === undefined ? hedgeDelayMs(this.engine, this) : undefined;
    if (hedgeMs !== undefined) this.client.waits.waitForHedge(hedgeMs);
    if (attempt.isReused) this.#send(attempt);
  }

  #send({ connection, hop, isReused, mayBeRefused }: Attempt): void {
    this.client.waits.touch();
    connection.sendHead(this.plan, this, hop);
    // Who answers in a tunnel may say that the pod got nothing, and tries a stale connection again.
    const mayComeBack = hop.way === 'tunnel' || (isReused && this.engine.answersTunnels);
    const isKept = this.plan.isRepeatable || mayComeBack || mayBeRefused;
    this.body.sendTo(connection, isKept);
    // A body that is still being read joins the head in one write, when the read ends.
    if (!this.client.isReading) this.body.flush(connection);
    if (!connection.isFull) this.client.resumeReading();
  }

  // ---- from the client ------------------------------------------------------------------------

  requestData(buffer: Buffer, start: number, end: number): void {
    if (this.#isFinished) return;
    this.client.waits.touch();
    if (this.body.bytes + end - start > this.#bodyBytesMax) {
      this.refuse('BadRequestBodyTooLarge');
    } else if (!this.body.add(buffer, start, end)) {
      this.client.pauseReading();
    }
  }

  requestEnded(trailers: Fields | undefined): void {
    if (!this.#isFinished) this.body.complete(trailers);
  }

  /** All that one read of the client brought has been told. */
  clientReadEnded(): void {
    if (this.#attempt !== undefined) this.body.flush(this.#attempt.connection);
  }

  /** Whether what goes on without end would still be begun by this table (contract §4). */
  isAllowedBy(table: RouteTable): boolean {
    const hop = this.#attempt?.hop;
    if (!this.#isStreaming || this.endpoint === undefined || !hop) return true;
    return this.plan.isAllowedBy(table, this.endpoint, hop);
  }

  /** The same of what no pod has got yet; an answer that is about to come may come. */
  isStoppedBy(table: RouteTable): boolean {
    const isAsked = this.#attempt?.connection.isSent === true;
    return (this.#isStreaming || !isAsked) && this.plan.isStoppedBy(table);
  }

  get #isStreaming(): boolean {
    const isUploading = this.#attempt?.connection.isSent === true && !this.body.isComplete;
    return this.tunnel !== undefined || this.answer.hasBegun || isUploading;
  }

  /** The client left, or cut its own request short: the upstream exchange is cancelled at once. */
  clientGone(): void {
    const reason = 'TimeoutRequest';
    const isTimeOver = isOverThere(this.plan, this.client.waits.totalLeftMs);
    if (isTimeOver) this.#endAttempt(reasonStatus(reason), reason, this.isCallersTime);
    this.#finish('cancelled', 'cut');
  }

  clientDrained(): void {
    this.client.waits.touch();
    this.answer.clearWaiting();
    const connection = this.#attempt?.connection;
    connection?.buffer.reclaim();
    if (this.tunnel !== undefined) this.tunnel.clientDrained();
    else connection?.resume();
  }

  tunnelFromClient(buffer: Buffer, start: number, end: number): void {
    this.tunnel?.fromClient(buffer, start, end);
  }

  tunnelEndedByClient(): void {
    this.tunnel?.clientEnded();
  }

  // ---- from upstream --------------------------------------------------------------------------

  upstreamConnected(): void {
    const attempt = this.#attempt;
    if (attempt !== undefined) this.#send(attempt);
  }

  upstreamDrained(): void {
    this.client.waits.touch();
    this.body.drained();
    if (this.tunnel === undefined) this.client.resumeReading();
    else this.tunnel.upstreamDrained();
  }

  interimAnswered(head: HttpResponseHead): void {
    this.client.waits.touch();
    this.#interims += 1;
    if (this.#interims > interimResponsesMax) {
      this.#failAttempt('UpstreamProtocol', { kind: 'protocol', isUnsent: false });
      return;
    }
    this.#stopHedge();
    this.answer.interim(head);
  }

  answered(head: HttpResponseHead): void {
    this.client.waits.touch();
    if (this.#attempt?.isRefusedBy(head) === true) return;
    const failure = failedAnswer(this.host?.rules, this.request.fields, head, this.engine.clock);
    if (failure === undefined || !this.#mayTryAgain(failure)) {
      this.#stopHedge();
      this.client.waits.stopWaiting();
      this.body.stopHolding();
      if (isGood(statusToldBy(head))) this.engine.budgets.deposit(this.host);
      this.firstByteMs = this.engine.clock.nowMs() - this.startedMs;
      this.answer.begin(head, this.answer.closesAfterAnswer(this.body));
      return;
    }
    this.#endAttempt(head.status, undefined);
    this.#tryAgain(failure);
  }

  answerData(buffer: Buffer, start: number, end: number): void {
    this.client.waits.touch();
    if (this.#attempt?.refusal === undefined) this.answer.data(buffer, start, end);
  }

  answerEnded(trailers: Fields | undefined): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    const { refusal } = attempt;
    if (refusal !== undefined) return this.#refusedThere(attempt, refusal);
    attempt.answerEnded(trailers);
    this.answer.end(trailers);
    this.answer.flush();
    if (this.client.unsentBytes > 0) attempt.connection.buffer.lend(this.client.buffer);
    this.#attempt = undefined;
    attempt.end(this.answer.status, undefined);
    attempt.connection.release(this.body.isComplete);
    this.#finish('answered', this.answer.closes ? 'close' : 'keep');
  }

  upstreamReadEnded(): void {
    if (this.#isFinished || this.tunnel !== undefined) {
      this.client.flush();
      return;
    }
    const connection = this.#attempt?.connection;
    const isFlowing = this.answer.flush();
    if (this.client.unsentBytes > 0) connection?.buffer.lend(this.client.buffer);
    if (!isFlowing) connection?.pause();
  }

  upstreamFailed(failure: UpstreamFailure): void {
    const reason = failureReason(failure.kind);
    const { kind, isUnsent } = failure;
    if (kind === 'bug') this.#giveUp(reason);
    else this.#failAttempt(reason, { kind: attemptKind(kind), isUnsent });
  }

  switched(head: HttpResponseHead): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.client.waits.end();
    this.answer.begin(head, true);
    this.answer.flush();
    const { counts } = this.engine;
    const ended = (): void => this.#tunnelEnded();
    const tunnel = new Switched(this.client, attempt.connection, counts, ended);
    this.tunnel = tunnel;
    tunnel.begin();
  }

  tunnelData(buffer: Buffer, start: number, end: number): void {
    this.tunnel?.fromUpstream(buffer, start, end);
  }

  tunnelEnded(): void {
    this.tunnel?.upstreamEnded();
  }

  // ---- failure and end ------------------------------------------------------------------------

  #failAttempt(reason: Reason, how: Omit<AttemptFailure, 'status'>): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    const failure: AttemptFailure = { ...how, status: reasonStatus(reason) };
    this.#endAttempt(failure.status, reason);
    // One stale connection means that its siblings may be stale as well.
    const wasStale = attempt.isReused && failure.kind === 'reset';
    if (wasStale) this.#wantsFreshConnection = true;
    this.#tryElsewhere(reason, failure, wasStale);
  }

  /** The other proxy refuses; nothing is wrong with the connection to it. */
  #refusedThere(attempt: Attempt, { reason, failure, retryAfterS }: RefusedThere): void {
    this.retryAfterS = retryAfterS;
    this.#attempt = undefined;
    this.client.waits.stopWaiting();
    this.body.detach();
    attempt.isCancelled = reason === 'TimeoutRequest' && this.isCallersTime;
    attempt.end(reasonStatus(reason), reason);
    attempt.connection.release(this.body.isComplete);
    if (failure === undefined) this.refuse(reason);
    else this.#tryElsewhere(reason, failure);
  }

  #tryElsewhere(reason: Reason, failure: AttemptFailure, wasStale = false): void {
    const isOver = this.engine.answersTunnels && !wasStale;
    if (this.#hedge?.isRunning === true) this.#goOnWith(this.#hedge);
    else if (isOver || !this.#mayTryAgain(failure)) this.refuse(reason);
    else this.#tryAgain(failure, wasStale);
  }

  #mayTryAgain(failure: AttemptFailure): boolean {
    if (this.#hedge?.isRunning === true) return this.retries?.isRetried(failure) === true;
    return this.mayFollow(failure);
  }

  /** At once where the connection was stale: nobody has failed. */
  #tryAgain(failure: AttemptFailure, wasStale = false): void {
    const { observer } = this.engine;
    const retries = this.retries;
    assert(retries !== undefined, 'a retry of nothing');
    if (this.#hedge?.isRunning === true) return this.#goOnWith(this.#hedge);
    retries.begin(failure, this.endpoint);
    observer.retryStarted(this);
    if (wasStale || this.mayFollowAtOnce(failure, retries)) this.#try();
    else this.client.waits.wait(this.askedMs(failure) + retries.waitMs());
  }

  // ---- a second attempt beside a slow one -----------------------------------------------------

  hedgeDue(): void {
    const { engine, plan, host } = this;
    const first = this.#attempt;
    if (host === undefined || first === undefined || this.#hedge !== undefined) return;
    if (!this.body.isEmpty) return;
    const retries = this.retriesOf(host);
    this.#hedge = beginHedge({ engine, plan, exchange: this, first, retries });
    this.#hedge?.start();
  }

  hedgeWon(hedge: Hedge): void {
    this.#endAttempt(0, undefined, true);
    this.#goOnWith(hedge);
  }

  /** The first attempt is over: the other one is the attempt now. */
  #goOnWith(hedge: Hedge): void {
    if (this.endpoint !== undefined && !hedge.hasAnswered) this.retries?.avoid(this.endpoint);
    const attempt = hedge.lead();
    this.#attempt = attempt;
    this.endpoint = attempt.endpoint;
    this.destination = attempt.destination;
    const perTryMs = this.host?.rules.perTryTimeoutMs;
    if (perTryMs !== undefined) this.client.waits.wait(Math.max(0, perTryMs - attempt.ageMs));
  }

  /** What the first attempt says is the answer. */
  #stopHedge(): void {
    this.client.waits.stopHedge();
    this.#hedge?.cancel();
  }

  waitExpired(): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return this.#try();
    const isUnsent = !attempt.connection.isSent;
    this.#failAttempt('TimeoutRequest', { kind: 'try-timeout', isUnsent });
  }

  idleExpired(): void {
    // A body that does not come is the client's fault, whichever time-out is the shorter one.
    const isClientLate = !this.body.isComplete && this.client.isListenedTo;
    this.#giveUp(isClientLate ? 'BadRequestTimeout' : 'TimeoutIdle');
  }

  totalExpired(): void {
    // How long a caller waits says nothing of the pod.
    this.#giveUp('TimeoutRequest', this.isCallersTime);
  }

  #giveUp(reason: Reason, isCancelled = false): void {
    this.#endAttempt(reasonStatus(reason), reason, isCancelled);
    this.refuse(reason);
  }

  #answerHere(): void {
    const closes = this.answer.closesAfterOwn(this.body);
    this.answer.own({ status: 200, reason: undefined, text: '', closes, isUnsent: true });
    this.#finish('refused', this.answer.closes ? 'close' : 'keep');
  }

  /** Ends with an answer of our own – or breaks off, when an answer has begun already. */
  refuse(reason: Reason, status = reasonStatus(reason)): void {
    if (this.#isFinished) return;
    this.reason = reason;
    if (this.answer.hasBegun) {
      this.answer.breakOff(reason);
      this.#finish('broken', 'cut');
      return;
    }
    const closes = endsConnection(reason, this.request) || this.answer.closesAfterOwn(this.body);
    const isUnsent = !this.#wasSent && this.#attempt?.connection.isSent !== true;
    const { retryAfterS } = this;
    const text = refusalText(reason, this);
    this.answer.own({ status, reason, text, closes, isUnsent, retryAfterS });
    this.#finish('refused', closes ? 'close' : 'keep');
  }

  #tunnelEnded(): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    attempt?.end(this.answer.status, undefined);
    this.#finish('answered', 'close');
  }

  /** Cuts the attempt's connection and counts it. */
  #endAttempt(status: number, reason: Reason | undefined, isCancelled = false): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#attempt = undefined;
    this.client.waits.stopWaiting();
    this.body.detach();
    this.#wasSent ||= attempt.connection.isSent;
    attempt.connection.destroy();
    attempt.isCancelled = isCancelled;
    attempt.end(status, reason);
  }

  /** The one end of every exchange (A10): idempotent, and detaches all that was attached. */
  #finish(outcome: ExchangeOutcome, fate: ConnectionFate): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    if (this.ticket !== undefined) this.engine.gate.leave(this);
    this.#endAttempt(this.answer.status, this.reason, true);
    this.#hedge?.cancel();
    this.client.waits.end();
    this.body.end();
    this.answer.clearWaiting();
    this.tunnel?.forgetWaiting();
    const { counts, clock, observer } = this.engine;
    counts.exchanges -= 1;
    this.durationMs = clock.nowMs() - this.startedMs;
    observer.exchangeFinished(this, outcome);
    this.client.exchangeEnded(fate);
  }
}
