// The gate before an attempt: the limits of a service (`ShapingRules`), asked once a request is
// routed, judged and about to be sent. An exchange comes here only when its service has such
// rules; a request of any other service costs one look at an absent field. Limits hold where the
// pod is: at the far end of a tunnel that other proxy asks – but of the rules of the Service
// that the tunnel names, so those of a split's root are held by this one.
import type { Clock } from '../lib/clock.ts';
import type { VirtualHost } from '../route/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import type { Hop } from './hop.ts';
import type { ExchangeFacts } from './observer.ts';
import { RateLimits } from './rate-limit.ts';
import type { Reason } from './refusals.ts';

/** An exchange that is about to be sent. */
export type Gated = ExchangeFacts & {
  /** For a refusal that has a time after which asking again makes sense. */
  retryAfterS: number | undefined;
  refuse(reason: Reason): void;
};

export class TrafficGate {
  readonly #rates: RateLimits;

  constructor(slots: SlotView, clock: Clock) {
    this.#rates = new RateLimits(slots.rates, clock);
  }

  /** False: it has been refused. */
  admits(exchange: Gated, hop: Hop): boolean {
    const { host } = exchange;
    const shaping = host?.rules.shaping;
    if (host === undefined || shaping === undefined) return true;
    if (!isHeldHere(exchange, host, hop)) return true;
    const { rateLimit } = shaping;
    // A request counts once, however often it is tried.
    if (rateLimit !== undefined && exchange.attempts === 0) {
      const waitS = this.#rates.take(host, exchange.source, rateLimit);
      if (waitS > 0) {
        exchange.retryAfterS = waitS;
        exchange.refuse('RateLimited');
        return false;
      }
    }
    return true;
  }
}

function isHeldHere({ backend }: ExchangeFacts, host: VirtualHost, { way }: Hop): boolean {
  if (way !== 'tunnel') return true;
  return backend?.service !== host.service || backend.namespace !== host.namespace;
}
