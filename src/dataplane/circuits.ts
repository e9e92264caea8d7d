// The workers' side of circuit breakers: they count outcomes in shared cells and read one word of
// state; when a breaker opens and closes, the control thread decides (proxy/breakers.ts). Open: no
// request passes. Half-open: a share that grows over ten seconds.
import type { Clock, Random } from '../lib/clock.ts';
import type { VirtualHost } from '../route/index.ts';
import type { BreakerRule } from '../snapshot/index.ts';
import type { BreakerCells, SlotView } from '../telemetry/index.ts';
import { httpStatusOf } from './grpc.ts';
import type { AttemptFacts } from './observer.ts';
import type { Reason } from './refusals.ts';

const openMs = 10_000;
const rampMs = 10_000;
/** Somebody has to be the first. */
const shareMin = 0.05;

const networkErrors: ReadonlySet<Reason> = new Set([
  'UpstreamConnect',
  'UpstreamReset',
  'UpstreamProtocol',
  'TimeoutConnect',
  'TimeoutRequest',
  'TimeoutIdle',
  'TunnelUnavailable',
]);

export class Circuits {
  readonly #slots: SlotView;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #cells = new WeakMap<VirtualHost, BreakerCells>();
  /** The last one asked for, which is often the next one, too. */
  #lastHost: VirtualHost | undefined;
  #lastCells: BreakerCells | undefined;

  constructor(slots: SlotView, clock: Clock, random: Random) {
    this.#slots = slots;
    this.#clock = clock;
    this.#random = random;
  }

  /** 0: the request may pass; else the whole seconds after which asking again makes sense. */
  take(host: VirtualHost): number {
    const cells = this.#of(host);
    const state = cells?.state ?? 'closed';
    if (cells === undefined || state === 'closed') return 0;
    const ageMs = cells.stateAgeMs(this.#clock.wallMs());
    if (state === 'open') return Math.max(1, Math.ceil((openMs - ageMs) / 1_000));
    return this.#random() < Math.max(shareMin, ageMs / rampMs) ? 0 : 1;
  }

  /** An attempt at an endpoint of the service has ended. */
  note(host: VirtualHost, { ratios }: BreakerRule, attempt: AttemptFacts): void {
    if (attempt.isCancelled || attempt.saysNothing) return;
    const { grpcStatus, reason, durationMs: latencyMs } = attempt;
    const status = grpcStatus === undefined ? attempt.status : httpStatusOf(grpcStatus);
    const isNetworkError = reason !== undefined && networkErrors.has(reason);
    this.#of(host)?.count({ status, isNetworkError, latencyMs }, ratios, this.#clock.wallMs());
  }

  #of(host: VirtualHost): BreakerCells | undefined {
    if (host === this.#lastHost) return this.#lastCells;
    let cells = this.#cells.get(host);
    if (cells === undefined) {
      cells = this.#slots.breaker(`${host.namespace}/${host.service}`);
      // It may get a slot later.
      if (cells === undefined) return undefined;
      this.#cells.set(host, cells);
    }
    this.#lastHost = host;
    this.#lastCells = cells;
    return cells;
  }
}
