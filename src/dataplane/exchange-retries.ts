// The part of an exchange that says whether another attempt may follow a failed one, and after what
// wait: all conditions of a retry stand here, and none of what starts one (exchange.ts). A base
// class like the record below it, because an exchange is made per request and is one object.
import type { VirtualHost } from '../route/index.ts';
import { ExchangeRecord } from './exchange-record.ts';
import { noneTried, Retries } from './retries.ts';
import type { AttemptFailure } from './retry-policy.ts';

export abstract class RetriedExchange extends ExchangeRecord {
  /** Undefined until something has failed. */
  protected retries: Retries | undefined;

  /** Ids of endpoints that failed this request. */
  protected get tried(): ReadonlySet<string> {
    return this.retries?.tried ?? noneTried;
  }

  protected retriesOf(host: VirtualHost): Retries {
    return (this.retries ??= new Retries(this.engine, host, this.plan.isRepeatable));
  }

  /** All conditions of a retry; the budget comes last, because asking takes from it. */
  protected mayFollow(failure: AttemptFailure): boolean {
    if (this.answer.hasBegun || this.answer.hasInterim || !this.body.isReplayable) return false;
    const { host } = this;
    if (host === undefined) return false;
    const retries = this.retriesOf(host);
    const askedMs = this.askedMs(failure);
    const { isDraining } = this.engine;
    if (askedMs > 0 && (isDraining || !retries.canWait(askedMs, this.client.waits))) return false;
    return retries.take(failure, this);
  }

  /**
   * Whether waiting would help nobody. The back-off spares an endpoint that is asked again, and a
   * service that fails as a whole; where one endpoint has failed and another is well, the caller
   * would only get its answer later. Budgets bound how many come at once (retry-budget.ts).
   */
  protected mayFollowAtOnce(failure: AttemptFailure, retries: Retries): boolean {
    const { backend } = this;
    if (backend === undefined) return false;
    const { tried } = retries;
    if (failure.isUnsent) return backend.endpoints.length > tried.size;
    return retries.isFirst && this.engine.loads.hasWellOne(backend, tried);
  }

  /** What an endpoint asks for is waited for only where no other one can be asked. */
  protected askedMs({ askedMs = 0 }: AttemptFailure): number {
    if (askedMs === 0 || this.backend === undefined) return 0;
    return this.engine.loads.hasOther(this.backend, this.tried, this.endpoint) ? 0 : askedMs;
  }
}
