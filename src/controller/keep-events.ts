// Tells problems as Events on the objects that have them: on the leader alone, each once, at most
// two a second. What is told is decided in object-events.ts. When leadership begins it reads what
// its predecessor has told, so that an unchanged problem is not told again.
// Invariant: an Event is written only for what is wrong at that moment, and never for an object
// that is gone.
import type { Problem } from '../api/index.ts';
import { kubeReason, resourcePath, startWorkQueue } from '../kube/index.ts';
import type { Connection, ResourcePath, WorkQueue } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import {
  eventNamespace,
  newEvent,
  readEvent,
  repeatedEvent,
  reporter,
  tellingsOf,
} from './object-events.ts';
import type { Regarding, Telling, ToldEvent } from './object-events.ts';
import { Pace } from './pace.ts';
import { listAt, textAt } from './raw-object.ts';
import { objectKey, type ObjectsWatch } from './watch-objects.ts';

export type KeepEventsOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly isLeading: () => boolean;
  readonly objects: ObjectsWatch;
  /** Who reports, for `reportingInstance`. */
  readonly instance: string;
};

/** 120 a minute: Events are for reading. */
const writes = { perSecond: 2, burst: 30 };
/**
 * Objects of one `kubectl apply` come by several watches: what is missing for a moment only is
 * nobody's mistake.
 */
const settleMs = 2_000;
/** A problem that is first seen this long after the start is not the one that was told before. */
const startMs = 60_000;
/** One Event changes its message so often at most. */
const betweenTellingsMs = 60_000;
const conflictRestMs = 1_000;
const pageSize = 500;
/** 50 000 Events of ours within their hour: more is a fault. */
const pagesMax = 100;
/** Mended problems that are remembered, so that their Events are counted on. */
const toldMax = 10_000;

/** Objects that are no SMI objects; those are known by the watch. */
const plainKinds: ReadonlyMap<string, Pick<ResourcePath, 'group' | 'version' | 'plural'>> = new Map(
  [
    ['Service', { group: '', version: 'v1', plural: 'services' }],
    ['Namespace', { group: '', version: 'v1', plural: 'namespaces' }],
    ['Secret', { group: '', version: 'v1', plural: 'secrets' }],
    ['ConfigMap', { group: '', version: 'v1', plural: 'configmaps' }],
    ['Pod', { group: '', version: 'v1', plural: 'pods' }],
    ['Node', { group: '', version: 'v1', plural: 'nodes' }],
    ['DaemonSet', { group: 'apps', version: 'v1', plural: 'daemonsets' }],
    ['EndpointSlice', { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' }],
  ],
);

type Again = { readonly againAfterMs: number } | undefined;
type Told = ToldEvent & { readonly writtenMs: number };

export class EventsKeeper {
  readonly #options: KeepEventsOptions;
  readonly #pace: Pace;
  readonly #queue: WorkQueue;
  #tellings: ReadonlyMap<string, Telling> = new Map();
  /** When each was seen first. */
  readonly #seenMs = new Map<string, number>();
  /** What was told, by the key of the telling; only of what is wrong now, once it is read. */
  #told = new Map<string, Told>();
  /** Told by the conditions of the object before we led; Events last an hour, these longer. */
  readonly #carried = new Map<string, string>();
  #reading: Promise<void> | undefined;
  #readMs = Number.POSITIVE_INFINITY;
  #isTermOpen = false;

  constructor(options: KeepEventsOptions) {
    this.#options = options;
    this.#pace = new Pace(options.runtime, writes);
    this.#queue = startWorkQueue({
      runtime: options.runtime,
      log: options.log,
      concurrency: 2,
      reconcile: (key) => this.#reconcile(key),
    });
  }

  /** All problems that there are now. */
  want(problems: readonly Problem[]): void {
    const before = this.#tellings;
    this.#tellings = tellingsOf(problems);
    for (const key of before.keys()) {
      if (this.#tellings.has(key)) continue;
      this.#seenMs.delete(key);
      this.#mended(key);
    }
    const nowMs = this.#options.runtime.clock.nowMs();
    for (const key of this.#tellings.keys()) {
      if (this.#seenMs.has(key)) continue;
      this.#seenMs.set(key, nowMs);
      if (nowMs > this.#readMs + startMs) this.#mended(key);
    }
    if (!this.#isTermOpen) return this.begin();
    for (const [key, telling] of this.#tellings) {
      if (before.get(key)?.message !== telling.message) this.#queue.add(key);
    }
  }

  /** Leadership was gained, or what is wrong is known at last; conditions are not written yet. */
  begin(): void {
    const { isLeading, objects } = this.#options;
    if (!isLeading() || !objects.isSynced()) return;
    this.#isTermOpen = true;
    this.#reading = undefined;
    this.#carried.clear();
    for (const [key, telling] of this.#tellings) {
      if (this.#isOnObject(telling)) this.#carried.set(key, telling.message);
      else this.#queue.add(key);
    }
  }

  /** Leadership was lost: somebody else may tell things from now on. */
  end(): void {
    this.#isTermOpen = false;
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** Should it come back, it is told once more. */
  #mended(key: string): void {
    this.#carried.delete(key);
    const told = this.#told.get(key);
    if (told === undefined) return;
    if (this.#told.size > toldMax) this.#told.delete(key);
    else this.#told.set(key, { ...told, message: '' });
  }

  /** A predecessor has told it: the conditions of this very generation say so. */
  #isOnObject(telling: Telling): boolean {
    const facts = this.#options.objects.get(objectKey(telling));
    return (
      facts?.conditions.some(
        ({ observedGeneration, message }) =>
          observedGeneration === facts.generation && message.includes(telling.message),
      ) ?? false
    );
  }

  async #reconcile(key: string): Promise<Again> {
    if (!this.#mayTell(key)) return undefined;
    await (this.#reading ??= this.#readTold());
    const told = this.#told.get(key);
    const telling = this.#tellings.get(key);
    if (telling === undefined) return undefined;
    if (told?.message === telling.message && !this.#isOfAnother(told, telling)) return undefined;
    const { clock } = this.#options.runtime;
    const settledMs = (this.#seenMs.get(key) ?? 0) + settleMs;
    const dueMs = Math.max(settledMs, (told?.writtenMs ?? -Infinity) + betweenTellingsMs);
    const restMs = dueMs - clock.nowMs();
    if (restMs > 0) return { againAfterMs: restMs };
    const regarding = await this.#regarding(telling);
    if (regarding === undefined) return undefined;
    await this.#pace.wait();
    // In the meantime it may have been mended, and the lease may have run out.
    if (!this.#mayTell(key) || this.#tellings.get(key) !== telling) return undefined;
    return this.#tell(key, telling, regarding);
  }

  #mayTell(key: string): boolean {
    const telling = this.#tellings.get(key);
    if (telling === undefined || !this.#options.isLeading()) return false;
    return this.#carried.get(key) !== telling.message;
  }

  /** Of a predecessor with the same name. */
  #isOfAnother(told: Told, telling: Telling): boolean {
    const facts = this.#options.objects.get(objectKey(telling));
    return facts !== undefined && facts.uid !== told.uid;
  }

  async #tell(key: string, telling: Telling, regarding: Regarding): Promise<Again> {
    const told = this.#told.get(key);
    try {
      const event =
        told !== undefined && told.uid === regarding.uid
          ? await this.#repeat(told, telling)
          : await this.#create(telling, regarding);
      const writtenMs = this.#options.runtime.clock.nowMs();
      this.#told.set(key, { ...readEvent(event).told, writtenMs });
      return undefined;
    } catch (error) {
      const reason = kubeReason(error);
      // Somebody else wrote it, or it has expired: read again, and look again.
      if (reason !== 'Conflict' && reason !== 'AlreadyExists' && reason !== 'NotFound') throw error;
      this.#told.delete(key);
      if (reason !== 'NotFound') this.#reading = undefined;
      return { againAfterMs: conflictRestMs };
    }
  }

  #create(telling: Telling, regarding: Regarding): Promise<unknown> {
    const { connection, instance } = this.#options;
    const event = newEvent({ telling, regarding, instance, now: this.#now() });
    return connection.create(this.#path(eventNamespace(telling)), event);
  }

  #repeat(told: Told, telling: Telling): Promise<unknown> {
    const path = this.#path(told.namespace, told.name);
    const body = repeatedEvent(told, telling, this.#now());
    return this.#options.connection.patch(path, { kind: 'merge', body });
  }

  #path(namespace: string, name?: string): string {
    const events = { group: '', version: 'v1', plural: 'events', namespace };
    return resourcePath(name === undefined ? events : { ...events, name });
  }

  /** `undefined`: the object is gone, or of a kind that we tell nothing of. */
  async #regarding(telling: Telling): Promise<Regarding | undefined> {
    const { kind, namespace, name } = telling;
    const facts = this.#options.objects.get(objectKey(telling));
    if (facts !== undefined) return facts;
    const plain = plainKinds.get(kind);
    if (plain === undefined) return undefined;
    const path = resourcePath({ ...plain, ...(namespace === '' ? {} : { namespace }), name });
    try {
      const uid = textAt(await this.#options.connection.get(path), 'metadata', 'uid');
      const apiVersion = plain.group === '' ? plain.version : `${plain.group}/${plain.version}`;
      return uid === undefined ? undefined : { apiVersion, kind, namespace, name, uid };
    } catch (error) {
      if (kubeReason(error) === 'NotFound') return undefined;
      throw error;
    }
  }

  /** What anybody of us has told and the API server still has. */
  async #readTold(): Promise<void> {
    const told = new Map<string, Told>();
    let next: string | undefined = undefined;
    for (let page = 0; page < pagesMax; page += 1) {
      const list: unknown = await this.#page(next);
      for (const event of listAt(list, 'items')) {
        const read = readEvent(event);
        told.set(read.key, { ...read.told, writtenMs: Number.NEGATIVE_INFINITY });
      }
      next = textAt(list, 'metadata', 'continue');
      if (next === undefined || next === '') break;
    }
    this.#told = told;
    this.#readMs = this.#options.runtime.clock.nowMs();
  }

  async #page(next: string | undefined): Promise<unknown> {
    const path = resourcePath({ group: '', version: 'v1', plural: 'events' });
    const query = { fieldSelector: `source=${reporter}`, limit: pageSize, continue: next };
    try {
      return await this.#options.connection.get(path, query);
    } catch (error) {
      // The next attempt reads anew.
      this.#reading = undefined;
      throw error;
    }
  }

  #now(): string {
    const now = new Date(this.#options.runtime.clock.wallMs()).toISOString();
    return now.replace(/\.\d+Z$/, 'Z');
  }
}
