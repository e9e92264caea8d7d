// The gate before an attempt: the limits of a service (`ShapingRules`), asked once a request is
// routed, judged and about to be sent, and its faults, asked before an endpoint is chosen. An
// exchange comes here only when its service has such rules; a request of any other service costs
// one look at an absent field. Limits hold where the pod is: at the far end of a tunnel that
// other proxy asks – but of the rules of the Service that the tunnel names, so those of a
// split's root are held by this one. Faults are the caller's proxy's alone.
import type { Clock, Random } from '../lib/clock.ts';
import type { Endpoint, VirtualHost } from '../route/index.ts';
import type { RateLimitRule } from '../snapshot/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import { Circuits } from './circuits.ts';
import type { Hop } from './hop.ts';
import type { AttemptFacts, ExchangeFacts } from './observer.ts';
import { Places, type Waiting } from './places.ts';
import { RateLimits } from './rate-limit.ts';
import type { Reason } from './refusals.ts';

/** An exchange that is about to be sent. */
export type Gated = ExchangeFacts &
  Waiting & {
    /** For a refusal that has a time after which asking again makes sense. */
    retryAfterS: number | undefined;
    refuse(reason: Reason, status?: number): void;
  };

export type GateOptions = {
  readonly slots: SlotView;
  readonly clock: Clock;
  readonly random: Random;
  readonly bugFound: (error: unknown) => void;
};

export class TrafficGate {
  readonly #rates: RateLimits;
  readonly #places: Places;
  readonly #circuits: Circuits;
  readonly #random: Random;

  constructor({ slots, clock, random, bugFound }: GateOptions) {
    this.#rates = new RateLimits(slots.rates, clock);
    this.#places = new Places(slots, clock, bugFound);
    this.#circuits = new Circuits(slots, clock, random);
    this.#random = random;
  }

  /** True: it has been refused or held up on purpose, as the service's `fault` says. */
  injectsFault(exchange: Gated): boolean {
    const fault = exchange.host?.rules.shaping?.fault;
    if (fault === undefined) return false;
    const { abort, delay } = fault;
    if (abort !== undefined && this.#random() * 100 < abort.percent) {
      exchange.refuse('FaultInjected', abort.status);
      return true;
    }
    if (delay === undefined || this.#random() * 100 >= delay.percent) return false;
    exchange.pause(delay.ms);
    return true;
  }

  /** False: it has been refused, or waits and asks again. */
  admits(exchange: Gated, endpoint: Endpoint, hop: Hop): boolean {
    const { host } = exchange;
    const shaping = host?.rules.shaping;
    if (host === undefined || shaping === undefined) return true;
    if (!isHeldHere(exchange, host, hop)) return true;
    const { breaker, rateLimit, maxRequests } = shaping;
    const isFirst = exchange.attempts === 0 && exchange.ticket === undefined;
    // A request counts once, however often it is tried or waits.
    if (isFirst && rateLimit !== undefined) {
      if (!this.#isWithin(exchange, host, rateLimit)) return false;
    }
    if (isFirst && breaker !== undefined && !this.#isClosed(exchange, host)) return false;
    if (maxRequests === undefined) return true;
    const answer = this.#places.take(exchange, endpoint, maxRequests);
    if (answer === 'full') exchange.refuse('Overloaded');
    return answer === 'placed';
  }

  /** It ends; it may have been waiting. */
  leave(exchange: Waiting): void {
    this.#places.leave(exchange);
  }

  /** An attempt that had a place has ended. */
  freed(endpoint: Endpoint): void {
    this.#places.freed(endpoint);
  }

  /** An attempt has ended; a breaker may want to know. */
  ended({ host, backend }: ExchangeFacts, attempt: AttemptFacts, hop: Hop): void {
    const breaker = host?.rules.shaping?.breaker;
    if (host === undefined || breaker === undefined || !isHeldHere({ backend }, host, hop)) return;
    this.#circuits.note(host, breaker, attempt);
  }

  #isWithin(exchange: Gated, host: VirtualHost, rule: RateLimitRule): boolean {
    const waitS = this.#rates.take(host, exchange.source, rule);
    return waitS === 0 || refuseFor(exchange, 'RateLimited', waitS);
  }

  #isClosed(exchange: Gated, host: VirtualHost): boolean {
    const waitS = this.#circuits.take(host);
    return waitS === 0 || refuseFor(exchange, 'CircuitOpen', waitS);
  }
}

function refuseFor(exchange: Gated, reason: Reason, waitS: number): false {
  exchange.retryAfterS = waitS;
  exchange.refuse(reason);
  return false;
}

type ToWhom = Pick<ExchangeFacts, 'backend'>;

function isHeldHere({ backend }: ToWhom, host: VirtualHost, { way }: Hop): boolean {
  if (way !== 'tunnel') return true;
  return backend?.service !== host.service || backend.namespace !== host.namespace;
}
