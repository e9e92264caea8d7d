// Writes conditions onto SMI objects: on the leader alone, on change only, at most 20 a second,
// whatever ten thousand objects do. What they say is decided in conditions.ts; nothing here is.
// Invariants: a generation is told only what was found in that very generation; each write names
// the version of the object that it was decided on, so that a leader that was deposed without
// noticing it fails instead of fighting; an object that is gone is no error.
import { isWatchedNamespace } from '../api/index.ts';
import type { ClusterState, MeshSettings, ObjectMeta, Problem } from '../api/index.ts';
import { kubeReason, resourcePath, startWorkQueue } from '../kube/index.ts';
import type { Connection, WorkQueue } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import type { ProxyRounds } from './ask-proxies.ts';
import { areAsDesired, desiredConditions, isProgrammed, readConditions } from './conditions.ts';
import type { Condition } from './conditions.ts';
import type { ObjectFacts, SmiKind } from './object-facts.ts';
import { Pace } from './pace.ts';
import { objectKey, pluralOf, type ObjectsWatch } from './watch-objects.ts';

export type KeepConditionsOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly settings: MeshSettings;
  readonly isLeading: () => boolean;
  readonly objects: ObjectsWatch;
  readonly rounds: ProxyRounds;
};

/** Field owner of the conditions, apart from that of the mesh Services. */
const owner = 'weft-controller-status';
/** Issue of scale: 10 000 objects that are all new take nine minutes, and nobody suffers. */
const writes = { perSecond: 20, burst: 20 };
/** Of one object, whoever reverts what we write: one write in this time. */
const betweenWritesMs = 1_000;
/** Our view is older than the server's: the watch brings the newer one, most often before this. */
const conflictRestMs = 500;
/** The server refuses the object as a whole (a foreign CRD): it may have been mended. */
const invalidRestMs = 300_000;
/** More keys at a time than a person changes: they wait behind what a person does. */
const manyKeys = 50;

type Again = { readonly againAfterMs: number } | undefined;

/** A generation, and the count of the version that it was first compiled into. */
type Since = { readonly uid: string; readonly generation: number; readonly count: number };

export class ConditionsKeeper {
  readonly #options: KeepConditionsOptions;
  readonly #pace: Pace;
  /** What people change now, and what has to be caught up with: the latter yields. */
  readonly #live: WorkQueue;
  readonly #backlog: WorkQueue;
  #state: ClusterState | undefined;
  #problems = new Map<string, readonly Problem[]>();
  /** Objects of which the watch knows a generation that was not compiled yet. */
  readonly #ahead = new Set<string>();
  /** Objects that are not programmed yet. */
  readonly #pending = new Map<string, Since>();
  readonly #writtenMs = new Map<string, number>();
  /** What the server did not take as it was written: not to be tried for ever. */
  readonly #notTaken = new Map<string, string>();

  constructor(options: KeepConditionsOptions) {
    this.#options = options;
    this.#pace = new Pace(options.runtime, writes);
    const reconcile = (key: string): Promise<Again> => this.#reconcile(key);
    const queue = { runtime: options.runtime, log: options.log, reconcile };
    this.#live = startWorkQueue({ ...queue, concurrency: 4 });
    this.#backlog = startWorkQueue({ ...queue, concurrency: 1 });
  }

  /** What was compiled; problems of all objects. */
  want(state: ClusterState, problems: readonly Problem[]): void {
    const isFirst = this.#state === undefined;
    this.#state = state;
    const next = groupByObject(problems);
    const changed = changedKeys(this.#problems, next);
    this.#problems = next;
    if (isFirst) return this.look();
    const ahead = [...this.#ahead];
    this.#ahead.clear();
    this.touch([...changed, ...ahead]);
  }

  /** These may need other conditions. */
  touch(keys: readonly string[]): void {
    if (this.#state === undefined) return;
    const queue = keys.length > manyKeys ? this.#backlog : this.#live;
    for (const key of keys) queue.add(key);
  }

  /** Leadership was gained: look at everything. */
  look(): void {
    this.#pending.clear();
    this.touch([...this.#options.objects.all()].map(objectKey));
  }

  /** A round of asking has ended. */
  askedProxies(): void {
    this.touch([...this.#pending.keys()]);
  }

  /** The count that the last of those who wait, waits for. */
  wantedCount(): number {
    let highest = 0;
    for (const { count } of this.#pending.values()) highest = Math.max(highest, count);
    return highest;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#live.stop(), this.#backlog.stop()]);
  }

  async #reconcile(key: string): Promise<Again> {
    const facts = this.#options.objects.get(key);
    if (facts === undefined || !this.#isOurs(facts)) return this.#forget(key);
    if (!this.#options.isLeading()) return undefined;
    const problems = this.#problemsOf(key, facts);
    if (problems === undefined) {
      this.#ahead.add(key);
      return undefined;
    }
    const spread = this.#spreadOf(key, facts);
    if (spread === undefined) return undefined;
    const now = new Date(this.#options.runtime.clock.wallMs()).toISOString();
    const desired = desiredConditions({
      generation: facts.generation,
      isReadable: facts.isReadable,
      problems,
      spread,
      existing: facts.conditions,
      // Kubernetes' Time has whole seconds.
      now: now.replace(/\.\d+Z$/, 'Z'),
    });
    if (areAsDesired(facts.conditions, desired)) return undefined;
    return this.#write(key, facts, desired);
  }

  #isOurs({ isDeleting, namespace }: ObjectFacts): boolean {
    return !isDeleting && isWatchedNamespace(namespace, this.#options.settings);
  }

  #forget(key: string): undefined {
    this.#ahead.delete(key);
    this.#pending.delete(key);
    this.#writtenMs.delete(key);
    this.#notTaken.delete(key);
  }

  /** `undefined` while this generation was not compiled. */
  #problemsOf(key: string, facts: ObjectFacts): readonly Problem[] | undefined {
    if (!facts.isReadable) return facts.problems;
    const meta = compiledMeta(this.#state, facts);
    if (meta?.uid !== facts.uid || meta.generation !== facts.generation) return undefined;
    const dropped = facts.problems.filter(({ reason }) => reason === 'MatchesDropped');
    return [...(this.#problems.get(key) ?? []), ...dropped];
  }

  /** `undefined` until the proxies were asked once since this generation. */
  #spreadOf(key: string, facts: ObjectFacts) {
    const { rounds } = this.#options;
    if (!facts.isReadable || isProgrammed(facts.conditions, facts.generation)) {
      this.#pending.delete(key);
      return { on: 0, of: 0 };
    }
    const { uid, generation } = facts;
    let since = this.#pending.get(key);
    if (since?.uid !== uid || since.generation !== generation) {
      since = { uid, generation, count: rounds.count };
      this.#pending.set(key, since);
      rounds.look();
    }
    return rounds.isKnown(since.count) ? rounds.spread(since.count) : undefined;
  }

  async #write(key: string, facts: ObjectFacts, desired: readonly Condition[]): Promise<Again> {
    const { runtime, objects, isLeading } = this.#options;
    const text = JSON.stringify(desired.map(({ lastTransitionTime: _, ...rest }) => rest));
    if (this.#notTaken.get(key) === text) return undefined;
    const dueMs = (this.#writtenMs.get(key) ?? -Infinity) + betweenWritesMs;
    const restMs = dueMs - runtime.clock.nowMs();
    if (restMs > 0) return { againAfterMs: restMs };
    await this.#pace.wait();
    // In the meantime the object may have changed, and the lease may have run out.
    if (!isLeading() || objects.get(key) !== facts) return { againAfterMs: 0 };
    this.#writtenMs.set(key, runtime.clock.nowMs());
    try {
      const answer = await this.#apply(facts, desired);
      if (!areAsDesired(readConditions(answer), desired)) this.#noteNotTaken(key, text);
      objects.see(facts.kind, answer);
      return undefined;
    } catch (error) {
      return this.#afterRefusal(key, error);
    }
  }

  #apply(facts: ObjectFacts, desired: readonly Condition[]): Promise<unknown> {
    const { kind, namespace, name, apiVersion, resourceVersion } = facts;
    const [group = '', version = ''] = apiVersion.split('/');
    const plural = pluralOf(kind);
    const path = resourcePath({ group, version, plural, namespace, name, subresource: 'status' });
    const metadata = { namespace, name, resourceVersion };
    const object = { apiVersion, kind, metadata, status: { conditions: desired } };
    return this.#options.connection.apply(path, object, { owner, force: true });
  }

  #noteNotTaken(key: string, text: string): void {
    this.#notTaken.set(key, text);
    this.#options.log.warn('conditions are not taken as they were written', { object: key });
  }

  #afterRefusal(key: string, error: unknown): Again {
    const reason = kubeReason(error);
    // Gone in the meantime, or of a foreign CRD without status: Events tell what there is to tell.
    if (reason === 'NotFound') return undefined;
    if (reason === 'Conflict') return { againAfterMs: conflictRestMs };
    if (reason !== 'Invalid') throw error;
    const why = String(error);
    this.#options.log.warn('conditions are refused (hint: a foreign CRD?)', { object: key, why });
    return { againAfterMs: invalidRestMs };
  }
}

function groupByObject(problems: readonly Problem[]): Map<string, readonly Problem[]> {
  const groups = new Map<string, Problem[]>();
  for (const problem of problems) {
    const key = objectKey(problem);
    const others = groups.get(key);
    if (others === undefined) groups.set(key, [problem]);
    else others.push(problem);
  }
  return groups;
}

type Groups = ReadonlyMap<string, readonly Problem[]>;

function changedKeys(before: Groups, after: Groups): readonly string[] {
  const keys = [...before.keys()].filter((key) => !after.has(key));
  for (const [key, problems] of after) {
    const old = before.get(key);
    if (old === undefined || !areSame(old, problems)) keys.push(key);
  }
  return keys;
}

function areSame(left: readonly Problem[], right: readonly Problem[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ reason, message }, index) => {
      const other = right[index];
      return other?.reason === reason && other.message === message;
    })
  );
}

/** What was compiled of this object. */
function compiledMeta(
  state: ClusterState | undefined,
  { kind, namespace, name }: ObjectFacts,
): ObjectMeta | undefined {
  if (state === undefined) return undefined;
  return compiledOf(state, kind).get(`${namespace}/${name}`)?.meta;
}

function compiledOf(
  state: ClusterState,
  kind: SmiKind,
): ReadonlyMap<string, { readonly meta: ObjectMeta }> {
  switch (kind) {
    case 'TrafficTarget':
      return state.trafficTargets;
    case 'HTTPRouteGroup':
      return state.httpRouteGroups;
    case 'TCPRoute':
      return state.tcpRoutes;
    case 'UDPRoute':
      return state.udpRoutes;
    case 'TrafficSplit':
      return state.trafficSplits;
  }
}
