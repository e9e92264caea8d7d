// The gate before an attempt: the limits of a service (`ShapingRules`), asked once a request is
// routed, judged and about to be sent, and its faults, asked before an endpoint is chosen. An
// exchange comes here only when its service has such rules; a request of any other service costs
// one look at an absent field. Limits hold where the pod is: at the far end of a tunnel that
// other proxy asks – but of the rules of the Service that the tunnel names, so those of a
// split's root are held by this one. Faults are the caller's proxy's alone.
import type { Clock, Random } from '../lib/clock.ts';
import type { Endpoint, VirtualHost } from '../route/index.ts';
import type { ShapingRules } from '../snapshot/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import { Circuits } from './circuits.ts';
import type { Hop } from './hop.ts';
import type { AttemptFacts, ExchangeFacts, ExchangeObserver } from './observer.ts';
import { Places, type OwnConnections, type Ticket, type Waiting, type Wish } from './places.ts';
import { RateLimits } from './rate-limit.ts';
import type { Reason } from './refusals.ts';
import type { TcpFacts } from './tcp-observer.ts';

/** What an attempt may use instead of a new connection. */
export type Spared = ExchangeFacts & {
  /** Where one that is open already would do. */
  readonly spare: OwnConnections | undefined;
};

/** An exchange that is about to be sent. */
export type Gated = Spared &
  Waiting & {
    /** For a refusal that has a time after which asking again makes sense. */
    retryAfterS: number | undefined;
    refuse(reason: Reason, status?: number): void;
  };

/** A TCP connection that is about to be opened. */
export type GatedFlow = Pick<TcpFacts, 'attempts' | 'backend' | 'host' | 'source'> &
  Waiting & { refuse(reason: Reason): void };

export type GateOptions = {
  readonly slots: SlotView;
  readonly clock: Clock;
  readonly random: Random;
  /** All that may have connections of this worker to pods. */
  readonly own: readonly OwnConnections[];
  readonly observer: Pick<ExchangeObserver, 'bugFound' | 'faultInjected'>;
};

type GateParts = Pick<GateOptions, 'random' | 'observer'> & {
  readonly rates: RateLimits;
  readonly places: Places;
  readonly circuits: Circuits;
  /** Copies of requests come here. */
  readonly isForCopies: boolean;
};

/** The gate of a worker. */
export function openGate({ slots, clock, random, own, observer }: GateOptions): TrafficGate {
  const places = new Places({ slots, clock, own, bugFound: observer.bugFound });
  const rates = new RateLimits(slots.rates, clock);
  const circuits = new Circuits(slots, clock, random);
  return new TrafficGate({ rates, places, circuits, random, observer, isForCopies: false });
}

export class TrafficGate {
  readonly #rates: RateLimits;
  readonly #places: Places;
  readonly #circuits: Circuits;
  readonly #random: Random;
  readonly #observer: GateOptions['observer'];
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#rates = parts.rates;
    this.#places = parts.places;
    this.#circuits = parts.circuits;
    this.#random = parts.random;
    this.#observer = parts.observer;
  }

  /** The same limits, for copies: they wait in no line, and no breaker learns from them. */
  forCopies(): TrafficGate {
    return new TrafficGate({ ...this.#parts, isForCopies: true });
  }

  /** True: it has been refused or held up on purpose, as the service's `fault` says. */
  injectsFault(exchange: Gated): boolean {
    const fault = exchange.host?.rules.shaping?.fault;
    if (fault === undefined) return false;
    const { abort, delay } = fault;
    if (abort !== undefined && this.#happens(abort.percent)) {
      this.#observer.faultInjected(exchange, 'abort');
      exchange.refuse('FaultInjected', abort.status);
      return true;
    }
    if (delay === undefined || !this.#happens(delay.percent)) return false;
    this.#observer.faultInjected(exchange, 'delay');
    exchange.pause(delay.ms);
    return true;
  }

  /** False: it has been refused, or waits and asks again. */
  admits(exchange: Gated, endpoint: Endpoint, hop: Hop): boolean {
    const { host } = exchange;
    const shaping = host?.rules.shaping;
    if (host === undefined || shaping === undefined) return true;
    if (!isHeldHere(exchange, host, hop)) return true;
    const { breaker, rateLimit } = shaping;
    const isFirst = exchange.attempts === 0 && exchange.ticket === undefined;
    // A request counts once, however often it is tried or waits.
    if (isFirst && rateLimit !== undefined) {
      const waitS = this.#rates.take(host, exchange.source, rateLimit);
      if (waitS !== 0) return refuseFor(exchange, 'RateLimited', waitS);
    }
    if (isFirst && breaker !== undefined) {
      const waitS = this.#circuits.take(host);
      if (waitS !== 0) return refuseFor(exchange, 'CircuitOpen', waitS);
    }
    return this.#hasPlace(exchange, endpoint, hop, shaping);
  }

  /** The same for a connection: how fast a caller opens them, and how many a pod may have. */
  admitsFlow(flow: GatedFlow, endpoint: Endpoint, hop: Way): boolean {
    const { host } = flow;
    const shaping = host?.rules.shaping;
    if (host === undefined || shaping === undefined || !isHeldHere(flow, host, hop)) return true;
    const { rateLimit, maxConnections } = shaping;
    const isFirst = flow.attempts === 0 && flow.ticket === undefined;
    if (isFirst && rateLimit !== undefined) {
      if (this.#rates.take(host, flow.source, rateLimit) !== 0) {
        flow.refuse('RateLimited');
        return false;
      }
    }
    const { backend } = flow;
    if (backend === undefined || maxConnections === undefined || hop.way === 'tunnel') return true;
    const wish = {
      backend,
      requestsMax: Infinity,
      connectionsMax: maxConnections,
      spare: undefined,
    };
    const answer = this.#places.take(flow, endpoint.id, wish);
    if (answer === 'full') flow.refuse('Overloaded');
    return answer === 'placed';
  }

  /** The place for an attempt beside one that is under way; undefined: it needs none. */
  placeBeside(exchange: Spared, endpoint: Endpoint, hop: Hop): Ticket | 'full' | undefined {
    const { host } = exchange;
    if (host === undefined || !isHeldHere(exchange, host, hop)) return undefined;
    const wish = wishOf(exchange, hop, host.rules.shaping);
    return wish && (this.#places.takeNow(endpoint.id, wish) ?? 'full');
  }

  /** What of its ticket the attempt has not used is for others. */
  begun(ticket: Ticket, { id }: Endpoint): void {
    this.#places.begun(ticket, id);
  }

  /** It ends; it may have been waiting. */
  leave(exchange: Pick<Waiting, 'ticket'>): void {
    this.#places.leave(exchange);
  }

  /** An attempt has ended; where its service has limits somebody may wait for its place. */
  freed({ host }: Pick<ExchangeFacts, 'host'>, { id }: Endpoint): void {
    const { maxRequests, maxConnections } = host?.rules.shaping ?? {};
    if (maxRequests === undefined && maxConnections === undefined) return;
    this.#places.freed(id, maxConnections);
  }

  /** A connection to the endpoint is gone, or takes more requests. */
  connectionFreed(endpointId: string): void {
    this.#places.closed(endpointId);
  }

  close(): void {
    this.#places.close();
  }

  /** An attempt has ended; a breaker may want to know. */
  ended({ host, backend }: ExchangeFacts, attempt: AttemptFacts, hop: Hop): void {
    const breaker = this.#parts.isForCopies ? undefined : host?.rules.shaping?.breaker;
    if (host === undefined || breaker === undefined || !isHeldHere({ backend }, host, hop)) return;
    this.#circuits.note(host, breaker, attempt);
  }

  #happens(percent: number): boolean {
    return percent > 0 && this.#random() * 100 < percent;
  }

  #askFor(exchange: Gated, { id }: Endpoint, wish: Wish): 'placed' | 'waits' | 'full' {
    if (!this.#parts.isForCopies) return this.#places.take(exchange, id, wish);
    exchange.ticket = this.#places.takeNow(id, wish);
    return exchange.ticket === undefined ? 'full' : 'placed';
  }

  #hasPlace(exchange: Gated, endpoint: Endpoint, hop: Hop, shaping: ShapingRules): boolean {
    const wish = wishOf(exchange, hop, shaping);
    if (wish === undefined) return true;
    const answer = this.#askFor(exchange, endpoint, wish);
    if (answer === 'full') exchange.refuse('Overloaded');
    return answer === 'placed';
  }
}

/** A tunnel is no connection to the pod: the proxy at its end counts those. */
function wishOf(
  { backend, spare }: Spared,
  { way }: Hop,
  { maxRequests, maxConnections }: ShapingRules = {},
): Wish | undefined {
  const connectionsMax = way === 'tunnel' ? undefined : maxConnections;
  const isUnlimited = maxRequests === undefined && connectionsMax === undefined;
  if (backend === undefined || isUnlimited) return undefined;
  return {
    backend,
    requestsMax: maxRequests ?? Infinity,
    connectionsMax: connectionsMax ?? Infinity,
    spare,
  };
}

function refuseFor(exchange: Gated, reason: Reason, waitS: number): false {
  exchange.retryAfterS = waitS;
  exchange.refuse(reason);
  return false;
}

type ToWhom = Pick<ExchangeFacts, 'backend'>;

type Way = Pick<Hop, 'way'>;

function isHeldHere({ backend }: ToWhom, host: VirtualHost, { way }: Way): boolean {
  if (way !== 'tunnel') return true;
  return backend?.service !== host.service || backend.namespace !== host.namespace;
}
