// A request's place in front of a tunnel. To its exchange it looks like a connection that is not
// open yet: nothing can be sent on it, and to destroy it is to leave the queue. Once a connection
// is there the attempt goes on with that one. Invariant: after `opened`, `failed` or `destroy` it
// is over, and nobody hears of it any more.
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import { ReadBuffer } from './read-buffers.ts';
import type { BodyBuffers } from './read-buffers.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream.ts';

/** What an exchange uses of the connection of an attempt, or of its stream in one. */
export type Carriage = Pick<
  UpstreamConnection,
  | 'buffer'
  | 'cork'
  | 'destroy'
  | 'endBody'
  | 'endTunnel'
  | 'flush'
  | 'isFull'
  | 'isSent'
  | 'leaveTunnel'
  | 'pause'
  | 'release'
  | 'resume'
  | 'sendBody'
  | 'sendHead'
  | 'unsentBytes'
  | 'use'
  | 'write'
>;

export type TunnelTaker = {
  /** There is no other endpoint to try: a dial that fails is no news for `patienceMs`. */
  readonly isPatient?: boolean;
  /** The request's body is long. */
  readonly isLong?: boolean;
  /** From here on the attempt has this connection. `isReused`: it may be stale. */
  tunnelOpened(connection: UpstreamConnection, isReused: boolean): void;
};

/** A proxy that is killed is back within it. */
const patienceMs = 1_000;

export type WaitOptions = {
  readonly taker: TunnelTaker;
  readonly deadlines: Deadlines;
  readonly buffers: BodyBuffers;
  /** The source has its certificate. */
  readonly isCertified: boolean;
  readonly identityWaitMs: number;
  readonly waitMs: number;
  /** It is over. */
  readonly left: () => void;
  readonly bugFound: (error: unknown) => void;
};

export class TunnelWait implements Carriage {
  readonly buffer: ReadBuffer;
  readonly isFull = false;
  readonly isSent = false;
  readonly unsentBytes = 0;
  readonly #options: WaitOptions;
  readonly #deadline = new Deadline(() => this.#expired());
  readonly #sinceMs: number;
  #isCertified: boolean;
  #user: UpstreamUser | undefined;
  #isOver = false;

  constructor(options: WaitOptions) {
    this.#options = options;
    this.#isCertified = options.isCertified;
    this.buffer = new ReadBuffer(options.buffers);
    const { deadlines, waitMs, identityWaitMs } = options;
    this.#sinceMs = deadlines.nowMs();
    deadlines.arm(this.#deadline, this.#isCertified ? waitMs : identityWaitMs);
  }

  use(user: UpstreamUser): void {
    this.#user = user;
  }

  /** The certificate has come; the tunnel itself may take as long as any. */
  certified(): void {
    if (this.#isCertified || this.#isOver) return;
    this.#isCertified = true;
    this.#options.deadlines.arm(this.#deadline, this.#options.waitMs);
  }

  /** A connection is there; it is the exchange's from now on. */
  opened(connection: UpstreamConnection, isReused: boolean): void {
    if (!this.#end()) return;
    const user = this.#user;
    this.#options.taker.tunnelOpened(connection, isReused);
    // Who hands over works for another exchange: what goes wrong here is none of its business.
    try {
      if (user !== undefined) connection.use(user);
      user?.upstreamConnected();
    } catch (error) {
      this.#options.bugFound(error);
      connection.destroy();
      user?.upstreamFailed({ kind: 'bug', isUnsent: false, detail: 'a fault of the proxy' });
    }
  }

  /** A dial has failed, and none is under way. */
  dialFailed(detail: string): void {
    const { taker, deadlines } = this.#options;
    const isPatient = taker.isPatient === true
      && deadlines.nowMs() - this.#sinceMs < patienceMs;
    if (!isPatient) this.failed(detail);
  }

  failed(detail: string): void {
    if (this.#isOver) return;
    const user = this.#user;
    // Its exchange has not begun to listen yet: it is told in another turn.
    if (user === undefined) {
      this.#options.deadlines.arm(this.#deadline, 0);
      return;
    }
    this.#end();
    const kind = this.#isCertified ? 'tunnel' : 'identity';
    user.upstreamFailed({ kind, isUnsent: true, detail });
  }

  /** The exchange waits no longer. Idempotent. */
  destroy(): void {
    this.#end();
  }

  #expired(): void {
    this.failed('timeout');
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#options.deadlines.disarm(this.#deadline);
    this.buffer.close();
    this.#options.left();
    return true;
  }

  // Nothing is written, read or released before there is a connection.
  sendHead(): void {
    this.#options.bugFound(new Error('BUG: a tunnel that is not open was written to'));
  }

  sendBody(): boolean {
    return false;
  }

  endBody(): void {
    return;
  }

  cork(): void {
    return;
  }

  write(): boolean {
    return false;
  }

  flush(): void {
    return;
  }

  pause(): void {
    return;
  }

  resume(): void {
    return;
  }

  release(): void {
    this.destroy();
  }

  endTunnel(): void {
    this.destroy();
  }

  leaveTunnel(): void {
    this.destroy();
  }
}
