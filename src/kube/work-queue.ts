// Reconciles keys: whoever sees that something may differ adds a key, and `reconcile` makes the
// world match, reading for itself what is wanted. Level-based: a key carries no event, adding it
// twice is adding it once, and a key added while it is worked on is worked on again. A key whose
// attempt failed comes back by exponential back-off; the others are not held up by it.
import type { Runtime, Timer } from '../lib/clock.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Log } from '../telemetry/index.ts';
import { KubeFailure } from './client.ts';

export type WorkQueueOptions = {
  readonly runtime: Runtime;
  readonly log: Log;
  /** How many keys are worked on at a time. */
  readonly concurrency: number;
  /** Answers when to look again without being asked, or `undefined` for never. */
  readonly reconcile: (key: string) => Promise<{ readonly againAfterMs: number } | undefined>;
};

export type WorkQueue = {
  readonly add: (key: string) => void;
  /** Lets what is being worked on end, starts nothing more. */
  readonly stop: () => Promise<void>;
};

const limits = { baseMs: 200, maxMs: 30_000 };
/** Keys come from objects in the cluster; more of them than this is a fault, not a load. */
const keysMax = 100_000;

export function startWorkQueue(options: WorkQueueOptions): WorkQueue {
  const queue = new RunningQueue(options);
  return { add: (key) => queue.add(key), stop: () => queue.stop() };
}

class RunningQueue {
  readonly #options: WorkQueueOptions;
  /** Waiting for a free place; in the order of their arrival. */
  readonly #waiting = new Set<string>();
  readonly #working = new Map<string, Promise<void>>();
  readonly #later = new Map<string, Timer>();
  readonly #failures = new Map<string, number>();
  #isStopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  add(key: string): void {
    if (this.#isStopped) return;
    if (this.#waiting.size >= keysMax) {
      this.#options.log.error('work queue is full', { keysMax });
      return;
    }
    this.#later.get(key)?.cancel();
    this.#later.delete(key);
    this.#waiting.add(key);
    this.#startNext();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#waiting.clear();
    for (const timer of this.#later.values()) timer.cancel();
    this.#later.clear();
    await Promise.all(this.#working.values());
  }

  #startNext(): void {
    for (const key of this.#waiting) {
      if (this.#working.size >= this.#options.concurrency) return;
      // A key that was added during its own work waits for its end.
      if (this.#working.has(key)) continue;
      this.#waiting.delete(key);
      this.#working.set(key, this.#work(key));
    }
  }

  async #work(key: string): Promise<void> {
    const againMs = await this.#attempt(key);
    this.#working.delete(key);
    if (this.#isStopped) return;
    if (againMs !== undefined && !this.#waiting.has(key)) this.#addAfter(key, againMs);
    this.#startNext();
  }

  /** Never throws; the answer is when to come back. */
  async #attempt(key: string): Promise<number | undefined> {
    try {
      const answer = await this.#options.reconcile(key);
      this.#failures.delete(key);
      return answer?.againAfterMs;
    } catch (error) {
      const attempt = this.#failures.get(key) ?? 0;
      this.#failures.set(key, attempt + 1);
      const askedMs = error instanceof KubeFailure ? (error.retryAfterMs ?? 0) : 0;
      const restMs = Math.max(askedMs, backoffMs(attempt, limits, this.#options.runtime.random));
      const facts = { key, attempt, restMs: Math.round(restMs), why: String(error) };
      this.#options.log.warn('reconcile failed', facts);
      return restMs;
    }
  }

  #addAfter(key: string, delayMs: number): void {
    const timer = this.#options.runtime.timers.after(delayMs, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, timer);
  }
}
