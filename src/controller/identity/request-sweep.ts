// Clears away certificate requests of our signer: issued ones after a minute, denied and failed
// ones after ten, so that people can read why; those that are too many, unread; and pending ones
// whose proxy is gone. Kubernetes clears them too, but after an hour, or a day. Only the leader
// deletes, always the very object that was seen.
import { kubeReason, resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { ClusterState } from '../../api/index.ts';
import type { Runtime, Timer } from '../../lib/clock.ts';
import type { Log } from '../../telemetry/index.ts';
import { readPod } from './pod-view.ts';
import type { RequestEntry } from './request-object.ts';

export type RequestSweepOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly meshNamespace: string;
  readonly isLeading: () => boolean;
  readonly pods: () => ClusterState['pods'];
  /** The newest of those that are too many. */
  readonly excess: (countMax: number) => readonly RequestEntry[];
  readonly pending: {
    readonly count: () => number;
    readonly all: () => readonly RequestEntry[];
  };
};

const roundMs = 1_000;
const keptMs = { issued: 60_000, refused: 600_000 } as const;
/**
 * Of those that are due, in a round: a tenth of them, so that however fast they are made, what is
 * left never grows beyond ten rounds of it; a few at least, and no more than an API server likes.
 */
const settledShare = 0.1;
const settledMin = 20;
const settledMax = 500;
const atOnceMax = 20;
const excessMax = 5;
const orphansMax = 5;
/** Pending ones are looked through for orphans so often. */
const orphansRestMs = 60_000;

type Settled = { readonly entry: RequestEntry; readonly dueMs: number };

export class RequestSweep {
  readonly #options: RequestSweepOptions;
  /** By uid; those of one state in the order in which they are due. */
  readonly #settled = new Map<string, Settled>();
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #orphansMs: number;
  #isStopped = false;

  constructor(options: RequestSweepOptions) {
    this.#options = options;
    // Who asked just before is answered first: a reason says more than a deletion.
    this.#orphansMs = this.#nowMs();
  }

  /** It was answered; the time runs from when this controller first knew. */
  settled(entry: RequestEntry): void {
    if (entry.state === 'pending' || this.#settled.has(entry.uid)) return;
    const dueMs = this.#nowMs() + keptMs[entry.state];
    this.#settled.set(entry.uid, { entry, dueMs });
    this.look();
  }

  isSettled(uid: string): boolean {
    return this.#settled.has(uid);
  }

  gone(uid: string): void {
    this.#settled.delete(uid);
  }

  /** There may be something to clear away. */
  look(): void {
    if (this.#isStopped || this.#timer !== undefined || this.#round !== undefined) return;
    const { runtime, isLeading, pending } = this.#options;
    if (!isLeading() || (this.#settled.size === 0 && pending.count() === 0)) return;
    this.#timer = runtime.timers.after(roundMs, () => {
      this.#timer = undefined;
      this.#round = this.#clear().then(() => {
        this.#round = undefined;
        this.look();
      });
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#round;
  }

  #nowMs(): number {
    return this.#options.runtime.clock.nowMs();
  }

  /** Never throws. */
  async #clear(): Promise<void> {
    if (!this.#options.isLeading()) return;
    const nowMs = this.#nowMs();
    const due = [...this.#settled.values()].filter(({ dueMs }) => dueMs <= nowMs);
    const excess = this.#options.excess(excessMax);
    const orphans = await this.#orphans(nowMs);
    const share = Math.ceil(due.length * settledShare);
    const settled = due.slice(0, Math.min(settledMax, Math.max(settledMin, share)));
    await this.#deleteAll([...settled.map(({ entry }) => entry), ...excess, ...orphans]);
    if (excess.length > 0) {
      const names = [...new Set(excess.map(({ requester: { name } }) => name))];
      this.#options.log.warn('certificate requests are too many and deleted unread', {
        count: excess.length,
        requesters: names,
      });
    }
  }

  /** Pending requests of pods that the API server itself does not know any more. */
  async #orphans(nowMs: number): Promise<readonly RequestEntry[]> {
    if (nowMs - this.#orphansMs < orphansRestMs) return [];
    this.#orphansMs = nowMs;
    const { pods, pending, meshNamespace } = this.#options;
    const known = pods();
    const suspects = pending.all().filter(({ pod }) => {
      return pod !== undefined && known.get(`${meshNamespace}/${pod.name}`)?.meta.uid !== pod.uid;
    });
    const looked = suspects.slice(0, orphansMax).map(async (entry) => {
      return (await this.#isOrphan(entry)) ? [entry] : [];
    });
    return (await Promise.all(looked)).flat();
  }

  async #isOrphan({ pod }: RequestEntry): Promise<boolean> {
    if (pod === undefined) return false;
    const { connection, meshNamespace: namespace } = this.#options;
    try {
      const found = await readPod(connection, { namespace, name: pod.name });
      return found?.meta.uid !== pod.uid;
    } catch {
      // No answer is no reason to delete; there is a next round.
      return false;
    }
  }

  async #deleteAll(entries: readonly RequestEntry[]): Promise<void> {
    const open = [...entries];
    const lanes = Array.from({ length: Math.min(atOnceMax, open.length) }, async () => {
      for (let entry = open.shift(); entry !== undefined; entry = open.shift()) {
        await this.#delete(entry);
      }
    });
    await Promise.all(lanes);
  }

  async #delete({ name, uid }: RequestEntry): Promise<void> {
    const { connection, log } = this.#options;
    const path = resourcePath({
      group: 'certificates.k8s.io',
      version: 'v1',
      plural: 'certificatesigningrequests',
      name,
    });
    try {
      await connection.remove(path, { preconditions: { uid } });
      this.#settled.delete(uid);
    } catch (error) {
      const reason = kubeReason(error);
      // It is gone, or another one has its name; else there is a next round.
      if (reason === 'NotFound' || reason === 'Conflict') this.#settled.delete(uid);
      else log.debug('certificate request stays', { request: name, why: String(error) });
    }
  }
}
