// Leader election on a Lease of coordination.k8s.io/v1, by client-go's rules and figures: a lease
// is held for 15 s, renewed every 2 s, given up 10 s after the last renewal that succeeded, and
// taken over only when it was *seen* unchanged for its whole duration, on our own clock: clocks of
// other machines are never compared.
// Invariant: of two replicas at most one is leading, because a leader stops 5 s before anybody else
// may take over, even when its requests hang or it was asleep.
import type { Runtime, Timer } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import { asRecord, asText, kubeReason } from './client.ts';
import type { Connection } from './connection.ts';
import { resourcePath } from './connection.ts';

export type CampaignOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly namespace: string;
  readonly name: string;
  /** Unique per process, for instance the pod's name and uid. */
  readonly identity: string;
  /** Begin to write. */
  readonly onLead: () => void;
  /** Stop writing, at once. Also called by `stop` of a leader. */
  readonly onFollow: () => void;
};

export type Campaign = {
  /** True as long as nobody else can be leading; ask before each write. */
  readonly isLeading: () => boolean;
  /** Releases the lease, so that the next leader need not wait. */
  readonly stop: () => Promise<void>;
};

const durationMs = 15_000;
const renewDeadlineMs = 10_000;
const retryMs = 2_000;
/**
 * Followers spread over 2–2.4 s. With client-go's 4.4 s a renewal would be noticed that late, and
 * nobody would write for 15 s and this after a leader was killed, which has to stay below 20 s.
 */
const followerJitter = 0.2;
/** One hung request must leave time for another before the deadline. */
const requestTimeoutMs = 4_000;

export function campaign(options: CampaignOptions): Campaign {
  const running = new RunningCampaign(options);
  const ended = running.run();
  return {
    isLeading: () => running.isLeading(),
    stop: async () => {
      running.stop();
      await ended;
      await running.release();
    },
  };
}

type Held = {
  readonly holder: string;
  /** Everything that a renewal changes; two equal ones mean that nobody renewed. */
  readonly record: string;
  readonly durationMs: number;
  readonly transitions: number;
  readonly acquireTime: string;
  readonly resourceVersion: string;
};

class RunningCampaign {
  readonly #options: CampaignOptions;
  readonly #connection: Connection;
  readonly #runtime: Runtime;
  readonly #path: string;
  readonly #collection: string;
  #held: Held | undefined;
  #lastRecord: string | undefined;
  /** When `#lastRecord` was seen for the first time. */
  #seenMs = 0;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #isLeading = false;
  #isStopped = false;
  /** Whatever came of it. */
  #hasWritten = false;
  #expiry: Timer | undefined;
  #wake: (() => void) | undefined;

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#connection = options.connection.within(requestTimeoutMs);
    this.#runtime = options.runtime;
    const lease = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };
    this.#collection = resourcePath({ ...lease, namespace: options.namespace });
    this.#path = resourcePath({ ...lease, namespace: options.namespace, name: options.name });
  }

  isLeading(): boolean {
    return this.#isLeading && this.#runtime.clock.nowMs() < this.#renewedMs + renewDeadlineMs;
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake?.();
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#round();
      if (this.#isStopped) return;
      await this.#rest(this.#isLeading ? retryMs : this.#followerRestMs());
    }
  }

  /** Until the next look, or until the lease runs out when that is sooner. */
  #followerRestMs(): number {
    const restMs = retryMs * (1 + followerJitter * this.#runtime.random());
    const held = this.#held;
    if (held === undefined || held.holder === '') return restMs;
    const leftMs = this.#seenMs + held.durationMs - this.#runtime.clock.nowMs();
    return leftMs > 0 ? Math.min(restMs, leftMs) : restMs;
  }

  /**
   * Writes an empty holder; failure is harmless, the lease then runs out by itself. Whether it is
   * ours is read from the lease: it may have been taken in the very moment of the stop, without
   * ever leading, and a renewal that failed says nothing.
   */
  async release(): Promise<void> {
    this.#follow();
    try {
      const held = this.#held ?? (this.#hasWritten ? await this.#readHeld() : undefined);
      if (held === undefined || held.holder !== this.#options.identity) return;
      const released = { ...this.#spec(held), holderIdentity: '', leaseDurationSeconds: 1 };
      await this.#connection.update(this.#path, this.#lease(released, held.resourceVersion));
    } catch (error) {
      this.#options.log.warn('lease was not released', { why: String(error) });
    }
  }

  async #readHeld(): Promise<Held | undefined> {
    const lease = await this.#read();
    return lease === undefined ? undefined : readLease(lease);
  }

  async #round(): Promise<void> {
    const askedMs = this.#runtime.clock.nowMs();
    try {
      if (!this.#isLeading || this.#held === undefined) this.#observe(await this.#read());
      if (!this.#mayTake()) return;
      const written = await this.#write();
      this.#observe(written);
      // The server may have written any time since we asked: the earliest one is the safe one.
      this.#lead(askedMs);
    } catch (error) {
      // Somebody else wrote in between: read again before the next try.
      this.#held = undefined;
      const reason = kubeReason(error);
      if (reason === 'Conflict' || reason === 'AlreadyExists') return;
      this.#options.log.warn('lease could not be renewed', { why: String(error) });
    }
  }

  async #read(): Promise<unknown> {
    try {
      return await this.#connection.get(this.#path);
    } catch (error) {
      if (kubeReason(error) === 'NotFound') return undefined;
      throw error;
    }
  }

  #observe(lease: unknown): void {
    const before = this.#lastRecord;
    this.#held = lease === undefined ? undefined : readLease(lease);
    const record = this.#held?.record;
    if (record !== before) this.#seenMs = this.#runtime.clock.nowMs();
    this.#lastRecord = record;
  }

  #mayTake(): boolean {
    const held = this.#held;
    if (held === undefined || held.holder === '' || held.holder === this.#options.identity) {
      return true;
    }
    if (this.#isLeading) this.#follow();
    return this.#runtime.clock.nowMs() >= this.#seenMs + held.durationMs;
  }

  #write(): Promise<unknown> {
    const held = this.#held;
    this.#hasWritten = true;
    if (held === undefined) {
      return this.#connection.create(this.#collection, this.#lease(this.#spec(undefined), ''));
    }
    const lease = this.#lease(this.#spec(held), held.resourceVersion);
    return this.#connection.update(this.#path, lease);
  }

  #spec(held: Held | undefined): Readonly<Record<string, unknown>> {
    const now = microTime(this.#runtime.clock.wallMs());
    const isOurs = held !== undefined && held.holder === this.#options.identity;
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: durationMs / 1000,
      renewTime: now,
      acquireTime: isOurs && held.acquireTime !== '' ? held.acquireTime : now,
      leaseTransitions: (held?.transitions ?? 0) + (isOurs || held === undefined ? 0 : 1),
    };
  }

  #lease(spec: unknown, resourceVersion: string): unknown {
    const { name, namespace } = this.#options;
    const version = resourceVersion === '' ? {} : { resourceVersion };
    const metadata = { name, namespace, ...version };
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
  }

  #lead(renewedMs: number): void {
    this.#renewedMs = renewedMs;
    const leftMs = renewedMs + renewDeadlineMs - this.#runtime.clock.nowMs();
    // An answer that came too late is a lease that may be lost already.
    if (leftMs <= 0 || this.#isStopped) return;
    this.#expiry?.cancel();
    this.#expiry = this.#runtime.timers.after(leftMs, () => {
      this.#options.log.error('leadership is lost: the lease could not be renewed', {});
      this.#follow();
    });
    if (this.#isLeading) return;
    this.#isLeading = true;
    this.#options.log.info('leading', { identity: this.#options.identity });
    this.#options.onLead();
  }

  #follow(): void {
    this.#expiry?.cancel();
    if (!this.#isLeading) return;
    this.#isLeading = false;
    this.#options.onFollow();
  }

  #rest(restMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#runtime.timers.after(restMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function readLease(lease: unknown): Held {
  const spec = asRecord(asRecord(lease)['spec']);
  const number = (key: string): number => {
    const value = spec[key];
    return typeof value === 'number' ? value : 0;
  };
  return {
    holder: asText(spec['holderIdentity']),
    record: JSON.stringify([spec['holderIdentity'], spec['renewTime'], spec['leaseTransitions']]),
    durationMs: number('leaseDurationSeconds') * 1000,
    transitions: number('leaseTransitions'),
    acquireTime: asText(spec['acquireTime']),
    resourceVersion: asText(asRecord(asRecord(lease)['metadata'])['resourceVersion']),
  };
}

/** Kubernetes' MicroTime: RFC 3339 with six digits. */
function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}
