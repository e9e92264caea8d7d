// A hedge (`weft.dev/hedge-after`): a second attempt for a GET or HEAD whose answer has not begun
// after some time, at another endpoint, while the first one goes on. The first good answer is the
// one, whoever gives it, and the other attempt is cut at once; one that fails leaves the other to
// go on alone, and an error of the hedge is never the answer while the first may have one. A hedge
// costs what a retry costs, waits for no place, and is made once per exchange at most. While it
// runs it listens for itself; once it leads it only passes on to its exchange, so that connections
// and exchanges need not know of hedges.
import type { Backend, Endpoint } from '../route/index.ts';
import { Attempt } from './attempt.ts';
import type { Engine } from './engine.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import type { Hop, Plan } from './hop.ts';
import type { Fields } from './http1/fields.ts';
import { interimResponsesMax } from './http1/limits.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { HedgeOutcome } from './observer.ts';
import type { OwnConnections, Ticket } from './places.ts';
import { failureReason, reasonStatus } from './refusals.ts';
import type { Reason } from './refusals.ts';
import type { Retries } from './retries.ts';
import { failedAnswer } from './retry-policy.ts';
import { slowMarkMs } from './slow-mark.ts';
import type { UpstreamFailure, UpstreamUser } from './upstream.ts';

/** The exchange of a hedge. */
export type Hedged = Pick<
  ExchangeRecord,
  Exclude<keyof ExchangeRecord, 'retryAfterS' | 'probeHalves'>
> &
  UpstreamUser & {
    readonly spare: OwnConnections | undefined;
    /** Its answer has come first: it leads, the other attempt is to be cancelled. */
    hedgeWon(hedge: Hedge): void;
  };

/**
 * How long the answer of an attempt may take before another one is made beside it. Undefined: none
 * is, because the request might have effects or has a body, because there is one endpoint only, or
 * because the caller's proxy decides. No call of gRPC is a GET.
 */
export function hedgeDelayMs(
  engine: Engine,
  { host, backend, request }: Hedged,
): number | undefined {
  const after = host?.rules.shaping?.hedgeAfterMs;
  if (host === undefined || after === undefined) return undefined;
  if (engine.answersTunnels || backend === undefined || backend.endpoints.length < 2) {
    return undefined;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
  const { framing, upgrade } = request;
  if ((framing.kind === 'length' && framing.length > 0) || upgrade !== undefined) return undefined;
  return after === 'p95' ? slowMarkMs(engine.budgets.of(host)) : after;
}

export type HedgeOptions = {
  readonly engine: Engine;
  readonly exchange: Hedged;
  readonly plan: Plan;
  /** The attempt that is slow. */
  readonly first: Attempt;
  readonly retries: Retries;
};

/** Undefined: there is no endpoint, no budget or no place for one. */
export function beginHedge(options: HedgeOptions): Hedge | undefined {
  const { engine, exchange, plan, first, retries } = options;
  const { backend } = first;
  const endpoint = engine.loads.pickBeside(backend, first.endpoint, retries.tried, {
    asker: exchange,
    random: engine.random,
  });
  if (endpoint === undefined) return undefined;
  const hop = plan.hopTo(backend, endpoint);
  if (hop.verdict.kind === 'deny' || hop.way === 'none') return undefined;
  const ticket = engine.gate.placeBeside(exchange, endpoint, hop);
  if (ticket === 'full') return undefined;
  // Last, because asking takes from it: full endpoints would use up what retries are to have.
  if (retries.takeHedge(exchange)) return new Hedge(options, { backend, endpoint, hop, ticket });
  engine.gate.leave({ ticket });
  return undefined;
}

type Chosen = {
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly hop: Hop;
  readonly ticket: Ticket | undefined;
};

export class Hedge implements UpstreamUser {
  readonly request: Hedged['request'];
  readonly #engine: Engine;
  readonly #exchange: Hedged;
  readonly #plan: Plan;
  readonly #retries: Retries;
  readonly #attempt: Attempt;
  #state: 'running' | 'leading' | 'over' = 'running';
  #interims = 0;
  /** With what is to be the answer. */
  hasAnswered = false;

  constructor({ engine, exchange, plan, retries }: HedgeOptions, chosen: Chosen) {
    this.#engine = engine;
    this.#exchange = exchange;
    this.#plan = plan;
    this.#retries = retries;
    this.request = exchange.request;
    exchange.attempts += 1;
    this.#attempt = new Attempt({
      ...chosen,
      engine,
      facts: exchange,
      destination: chosen.hop.verdict.destination,
      wantsFresh: false,
      connectTimeoutMs:
        exchange.host?.rules.connectTimeoutMs ?? engine.limits.connectTimeoutMs,
    });
  }

  /** Neither attempt has had the last word. */
  get isRunning(): boolean {
    return this.#state === 'running';
  }

  start(): void {
    this.#attempt.connection.use(this);
    if (this.#attempt.isReused) this.#send();
  }

  /** From now on it is the exchange's attempt. */
  lead(): Attempt {
    this.#state = 'leading';
    this.#tell('won');
    return this.#attempt;
  }

  /** The exchange has its answer, or is over. Idempotent. */
  cancel(): void {
    if (this.#state !== 'running') return;
    this.#state = 'over';
    this.#attempt.connection.destroy();
    this.#attempt.isCancelled = true;
    this.#attempt.end(0, undefined);
    this.#tell('lost');
  }

  #send(): void {
    const { connection, hop } = this.#attempt;
    connection.sendHead(this.#plan, this.#exchange, hop);
    connection.endBody(undefined, this.request.nominated);
    connection.flush();
  }

  #tell(outcome: HedgeOutcome): void {
    this.#engine.observer.hedgeEnded(this.#exchange, outcome);
  }

  /** It fails alone; the first attempt goes on. */
  #fail(status: number, reason: Reason | undefined): void {
    this.#state = 'over';
    this.#retries.avoid(this.#attempt.endpoint);
    this.#attempt.end(status, reason);
    this.#tell('failed');
  }

  // ---- from upstream --------------------------------------------------------------------------

  upstreamConnected(): void {
    if (this.#state === 'leading') this.#exchange.upstreamConnected();
    else this.#send();
  }

  interimAnswered(head: HttpResponseHead): void {
    if (this.#state === 'leading') return this.#exchange.interimAnswered(head);
    this.#interims += 1;
    if (this.#interims <= interimResponsesMax) return;
    this.#attempt.connection.destroy();
    this.#fail(reasonStatus('UpstreamProtocol'), 'UpstreamProtocol');
  }

  answered(head: HttpResponseHead): void {
    if (this.#state === 'leading') return this.#exchange.answered(head);
    const attempt = this.#attempt;
    // The rest of a refusal by the other proxy is read, for the sake of the connection.
    if (attempt.isRefusedBy(head)) return;
    if (this.#isFailure(head)) {
      attempt.connection.destroy();
      this.#fail(head.status, undefined);
      return;
    }
    this.hasAnswered = true;
    this.#exchange.hedgeWon(this);
    this.#exchange.answered(head);
  }

  /** An error that the first attempt may not end in is no answer, whatever is tried again. */
  #isFailure(head: HttpResponseHead): boolean {
    if (head.status >= 500 || head.status === 429) return true;
    const { host, request } = this.#exchange;
    const failure = failedAnswer(host?.rules, request.fields, head, this.#engine.clock);
    return failure !== undefined && this.#retries.isRetried(failure);
  }

  answerData(buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'leading') this.#exchange.answerData(buffer, start, end);
  }

  answerEnded(trailers: Fields | undefined): void {
    if (this.#state === 'leading') return this.#exchange.answerEnded(trailers);
    const reason = this.#attempt.refusal?.reason;
    if (reason === undefined) return;
    this.#attempt.connection.release(true);
    this.#fail(reasonStatus(reason), reason);
  }

  upstreamReadEnded(): void {
    if (this.#state === 'leading') this.#exchange.upstreamReadEnded();
  }

  upstreamDrained(): void {
    if (this.#state === 'leading') this.#exchange.upstreamDrained();
  }

  upstreamFailed(failure: UpstreamFailure): void {
    if (this.#state === 'leading') return this.#exchange.upstreamFailed(failure);
    if (this.#state === 'over') return;
    this.#attempt.connection.destroy();
    const reason = failureReason(failure.kind);
    this.#fail(reasonStatus(reason), reason);
  }

  // No request that asks for another protocol is hedged.
  switched(head: HttpResponseHead): void {
    this.#exchange.switched(head);
  }

  tunnelData(buffer: Buffer, start: number, end: number): void {
    this.#exchange.tunnelData(buffer, start, end);
  }

  tunnelEnded(): void {
    this.#exchange.tunnelEnded();
  }
}
