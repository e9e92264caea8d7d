// How long one tunnel lives: until its certificates or an hour are used up, or something about it
// was replaced. It ends in order – no new request, the one that is under way is served – and only
// what is still there at the very end is cut. One per connection, on either side's terms.
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

/** Established tunnels are judged anew after so long, by being opened anew. */
const ageMax = 3_600_000;
/** So that those of one moment do not end in one moment. */
const ageSpread = 0.1;

/** What is left of `notAfterMs`, an hour at most, less up to a tenth. */
export function lifeLeftMs(notAfterMs: number, wallMs: number, random: number): number {
  const leftMs = Math.max(0, Math.min(ageMax, notAfterMs - wallMs));
  return leftMs * (1 - ageSpread * random);
}

export type LifeOptions<Pool> = {
  readonly pool: Pool;
  /** Of the peer. */
  readonly address: string;
  readonly deadlines: Deadlines;
  /** No new request may begin on it. */
  readonly retired: () => void;
  /** It has to be gone. */
  readonly cut: () => void;
};

export class TunnelLife<Pool> {
  readonly pool: Pool;
  readonly address: string;
  /** No new request may begin on it. */
  isRetiring = false;
  readonly #retired: () => void;
  readonly #deadlines: Deadlines;
  readonly #retirement = new Deadline(() => this.#retire());
  readonly #cut: Deadline;
  #retireAtMs = Infinity;
  #cutAtMs = Infinity;

  constructor({ pool, address, deadlines, retired, cut }: LifeOptions<Pool>) {
    this.pool = pool;
    this.address = address;
    this.#retired = retired;
    this.#deadlines = deadlines;
    this.#cut = new Deadline(cut);
  }

  /** Sooner than it would by itself. */
  retireIn(delayMs: number): void {
    const atMs = this.#deadlines.nowMs() + delayMs;
    if (this.isRetiring || atMs >= this.#retireAtMs) return;
    this.#retireAtMs = atMs;
    if (delayMs <= 0) this.#retire();
    else this.#deadlines.arm(this.#retirement, delayMs);
  }

  endWithin(retireMs: number, cutMs: number): void {
    const atMs = this.#deadlines.nowMs() + cutMs;
    if (atMs < this.#cutAtMs) {
      this.#cutAtMs = atMs;
      this.#deadlines.arm(this.#cut, Math.max(0, cutMs));
    }
    this.retireIn(retireMs);
  }

  /** The connection has closed. */
  end(): void {
    this.isRetiring = true;
    this.#deadlines.disarm(this.#retirement);
    this.#deadlines.disarm(this.#cut);
  }

  #retire(): void {
    this.isRetiring = true;
    this.#deadlines.disarm(this.#retirement);
    this.#retired();
  }
}
