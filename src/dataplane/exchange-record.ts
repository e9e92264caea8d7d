// What one exchange is and tells of itself: the request, who sent it, what was chosen for it, what
// has come of it so far. Observers, refusals and limits read it; only the exchange (exchange.ts),
// which is the one kind of record there is, writes it. No control flow stands here. It is a base
// class and no part of its own, because an exchange is made per request and should be one object.
import type { Backend, Destination, Endpoint, Source, VirtualHost } from '../route/index.ts';
import type { Answer } from './answer.ts';
import type { Client } from './client.ts';
import type { ProbeHalves } from './departure-probe.ts';
import type { Engine } from './engine.ts';
import type { ExchangeOptions } from './exchange-options.ts';
import type { Plan } from './hop.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { ExchangeFacts } from './observer.ts';
import type { Reason } from './refusals.ts';
import { RequestBody } from './request-body.ts';
import type { Switched } from './switched.ts';
import { renderTunnelDeadline } from './tunnel-fields.ts';

export abstract class ExchangeRecord implements ExchangeFacts {
  readonly request: HttpRequestHead;
  readonly requestId: string;
  readonly traceparent: string;
  readonly startedMs: number;
  readonly answer: Answer;
  host: VirtualHost | undefined;
  backend: Backend | undefined;
  endpoint: Endpoint | undefined;
  destination: Destination | undefined;
  reason: Reason | undefined;
  attempts = 0;
  firstByteMs: number | undefined;
  durationMs = 0;
  retryAfterS: number | undefined;
  /** The total time is one that the caller has set. */
  isCallersTime = false;

  protected readonly engine: Engine;
  protected readonly client: Client;
  protected readonly plan: Plan;
  protected readonly body: RequestBody;
  /** The connection was upgraded. */
  protected tunnel: Switched | undefined;

  constructor({ engine, client, plan, isBodyComplete, ids }: ExchangeOptions) {
    this.engine = engine;
    this.client = client;
    this.plan = plan;
    this.request = plan.head;
    this.body = new RequestBody(client, plan.head, isBodyComplete, engine.counts);
    this.answer = client.answerTo(plan.head);
    this.requestId = ids?.requestId ?? plan.sentRequestId ?? engine.ids.requestId();
    this.traceparent = ids?.traceparent ?? plan.sentTraceparent ?? engine.ids.traceparent();
    this.startedMs = engine.clock.nowMs();
  }

  get source(): Source {
    return this.plan.source;
  }

  get remoteAddress(): string {
    return this.plan.remoteAddress;
  }

  get status(): number {
    return this.answer.status;
  }

  get probeHalves(): ProbeHalves | undefined {
    return this.answer.probeHalves;
  }

  /** What a tunnel is told of the time that is left. */
  get deadlineLine(): string {
    const ms = this.client.waits.totalLeftMs;
    return ms === Infinity ? '' : renderTunnelDeadline({ ms, isCallers: this.isCallersTime });
  }

  get requestBytes(): number {
    return this.body.bytes + (this.tunnel?.fromClientBytes ?? 0);
  }

  get responseBytes(): number {
    return this.answer.bytes + (this.tunnel?.fromUpstreamBytes ?? 0);
  }
}
