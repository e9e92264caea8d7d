// The load of the demo: each caller pod asks a mesh name at a fixed rate, whatever the answers are
// (open loop), and keeps count of what it got. What the pods received is counted by the pods.
import type { Runtime, Timer } from '../../lib/clock.ts';
import type { MeshAnswer, MeshCall, MeshClient } from '../cluster/mesh-client.ts';

/** One caller, one call, one rate. */
export type LoadOptions = {
  readonly runtime: Runtime;
  readonly client: MeshClient;
  readonly call: MeshCall;
  readonly perSecond: number;
};

/** What became of the calls so far. */
export type LoadCounts = {
  readonly sent: number;
  /** 2xx. */
  readonly accepted: number;
  /** 403, answered by the mesh. */
  readonly denied: number;
  /** Everything else: other statuses, no answer at all. */
  readonly failed: number;
  /** Sent and not answered yet. */
  readonly open: number;
};

/** Calls that wait for an answer at once; beyond it a tick sends nothing and counts nothing. */
const openMax = 64;
/** Ticks of a timer are coarse: several calls may be due in one. */
const tickMs = 10;

/** The calls of one pod to one service, until it is stopped. */
export class Load {
  readonly #options: LoadOptions;
  readonly #counts = { sent: 0, accepted: 0, denied: 0, failed: 0, open: 0 };
  readonly #startedMs: number;
  #lastFailure = '';
  #timer: Timer | undefined;
  #idle: (() => void) | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#startedMs = options.runtime.clock.nowMs();
    this.#arm();
  }

  get counts(): LoadCounts {
    return { ...this.#counts };
  }

  /** How the last failure looked, empty when there was none. */
  get lastFailure(): string {
    return this.#lastFailure;
  }

  /** Sends nothing more; resolves when everything sent is answered. */
  stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#counts.open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle = resolve;
    });
  }

  #arm(): void {
    this.#timer = this.#options.runtime.timers.after(tickMs, () => {
      this.#arm();
      this.#sendDue();
    });
  }

  #sendDue(): void {
    const elapsedMs = this.#options.runtime.clock.nowMs() - this.#startedMs;
    const due = Math.floor((elapsedMs / 1000) * this.#options.perSecond);
    while (this.#counts.sent < due && this.#counts.open < openMax) this.#send();
  }

  #send(): void {
    this.#counts.sent += 1;
    this.#counts.open += 1;
    this.#options.client
      .call(this.#options.call)
      .then(
        (answer) => this.#note(answer),
        (error: unknown) => this.#fail(String(error)),
      )
      .finally(() => {
        this.#counts.open -= 1;
        if (this.#counts.open === 0) this.#idle?.();
      });
  }

  #note(answer: MeshAnswer): void {
    if (answer.status >= 200 && answer.status < 300) this.#counts.accepted += 1;
    else if (answer.status === 403) this.#counts.denied += 1;
    else this.#fail(`${answer.status} ${answer.reason ?? ''} ${answer.body.trim()}`);
  }

  #fail(how: string): void {
    this.#counts.failed += 1;
    this.#lastFailure = `${this.#options.call.host}: ${how}`;
  }
}
