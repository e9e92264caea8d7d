// The calling side of a session that carries connections of HTTP/1.1 as its streams
// (docs/design/0013): it gives lanes as long as there is room, and ends by itself when it has
// carried none for a while. Whose lanes they are is the pool's business.
// Invariant: `closed` is told once, when all of its lanes have closed.
import type { SecureSocket } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import { unusedTunnelMs, upstreamIdleMs } from './limits.ts';
import { laneHead, TunnelLane } from './tunnel-lane.ts';
import { TunnelLife } from './tunnel-life.ts';
import { TunnelSession } from './tunnel-session.ts';
import type { SessionShared } from './tunnel-session.ts';

export type LaneSessionOptions<Pool> = {
  readonly shared: SessionShared;
  readonly pool: Pool;
  /** Of the peer. */
  readonly address: string;
  readonly socket: SecureSocket;
  /** There may be room, or there will be none any more. */
  readonly changed: () => void;
  readonly closed: () => void;
};

export class LaneSession<Pool> {
  readonly life: TunnelLife<Pool>;
  readonly #shared: SessionShared;
  readonly #session: TunnelSession<TunnelLane>;
  readonly #idle = new Deadline(() => this.#session.closeIfIdle());
  #isUsed = false;

  constructor(options: LaneSessionOptions<Pool>) {
    const { shared, pool, address, socket, changed, closed } = options;
    this.#shared = shared;
    this.life = new TunnelLife({
      pool,
      address,
      deadlines: shared.deadlines,
      retired: () => this.#session.leave(),
      cut: () => this.destroy(),
    });
    this.#session = new TunnelSession<TunnelLane>({
      role: 'client',
      engine: shared,
      socket,
      make: () => new TunnelLane(shared.turnEnd),
      // Nobody calls back.
      arrived: (lane) => lane.destroy(),
      changed: () => {
        this.#watchIdle();
        changed();
      },
      closed: () => {
        shared.deadlines.disarm(this.#idle);
        this.life.end();
        closed();
      },
    });
    this.#watchIdle();
  }

  get hasRoom(): boolean {
    return this.#session.canOpen;
  }

  /** No request may begin on it, not even on a lane that is open. */
  get isLeaving(): boolean {
    return this.life.isRetiring || this.#session.isLeaving;
  }

  /** A connection, open at once; undefined: there is no room. */
  open(): TunnelLane | undefined {
    const lane = new TunnelLane(this.#shared.turnEnd);
    if (!this.#session.open(lane, laneHead)) return undefined;
    this.#isUsed = true;
    this.#shared.deadlines.disarm(this.#idle);
    return lane;
  }

  destroy(): void {
    this.#session.destroy();
  }

  #watchIdle(): void {
    const { deadlines } = this.#shared;
    if (this.#session.streamCount > 0) deadlines.disarm(this.#idle);
    else deadlines.arm(this.#idle, this.#isUsed ? upstreamIdleMs : unusedTunnelMs);
  }
}
