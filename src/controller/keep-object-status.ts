// What users read on their own objects: conditions on SMI objects, Events on whatever has a
// problem. Joins the parts – watching the objects, asking the proxies, writing – and fixes their
// order: what a predecessor has told is looked at before anything is written. It decides nothing.
import type { ClusterState, MeshSettings, Problem } from '../api/index.ts';
import type { Connection } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import { ProxyRounds } from './ask-proxies.ts';
import { askVersion } from './ask-version.ts';
import { ConditionsKeeper } from './keep-conditions.ts';
import { EventsKeeper } from './keep-events.ts';
import { watchObjects, type ObjectsWatch } from './watch-objects.ts';

export type KeepObjectStatusOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly settings: MeshSettings;
  /** True only while nobody else can be leading; asked right before each write. */
  readonly isLeading: () => boolean;
  /** Who reports Events: the pod of this controller. */
  readonly instance: string;
};

export type Compiled = {
  readonly state: ClusterState;
  readonly policyVersion: string;
};

export class ObjectStatusKeeper {
  readonly #objects: ObjectsWatch;
  readonly #rounds: ProxyRounds;
  readonly #conditions: ConditionsKeeper;
  readonly #events: EventsKeeper;
  #state: ClusterState | undefined;
  #problems: readonly Problem[] = [];
  /** R-46, by object; only the watch can notice it. */
  readonly #dropped = new Map<string, Problem>();
  #isStarted = false;

  constructor(options: KeepObjectStatusOptions) {
    this.#objects = watchObjects({
      ...options,
      onChange: (keys) => this.#changed(keys),
      onSynced: () => this.#tell(),
    });
    const objects = this.#objects;
    this.#rounds = new ProxyRounds({
      ...options,
      meshNamespace: options.settings.meshNamespace,
      ask: askVersion,
      wanted: () => this.#conditions.wantedCount(),
      onRound: () => this.#conditions.askedProxies(),
    });
    this.#conditions = new ConditionsKeeper({ ...options, objects, rounds: this.#rounds });
    this.#events = new EventsKeeper({ ...options, objects });
  }

  /** Call it after every compilation, and then `tell`. */
  want({ state, policyVersion }: Compiled): void {
    this.#state = state;
    this.#rounds.compiled(policyVersion);
  }

  /** Problems of all kinds as they are now; those of SMI objects become conditions too. */
  tell(problems: readonly Problem[]): void {
    this.#problems = problems;
    this.#tell();
  }

  /** Leadership was gained. */
  lead(): void {
    if (!this.#isStarted) return;
    this.#events.begin();
    this.#rounds.begin();
    this.#conditions.look();
  }

  /** Leadership was lost. */
  follow(): void {
    this.#events.end();
  }

  isSynced(): boolean {
    return this.#objects.isSynced();
  }

  /** Problems that no compilation can see. */
  problems(): readonly Problem[] {
    return [...this.#dropped.values()];
  }

  async stop(): Promise<void> {
    await Promise.all([this.#conditions.stop(), this.#events.stop()]);
    await Promise.all([this.#rounds.stop(), this.#objects.stop()]);
  }

  /** Once both the objects and what was compiled of them are known. */
  #tell(): void {
    if (this.#state === undefined || !this.#objects.isSynced()) return;
    this.#isStarted = true;
    // First what was told before is looked at, then conditions are written.
    this.#events.want([...this.#problems, ...this.#dropped.values()]);
    this.#conditions.want(this.#state, this.#problems);
  }

  #changed(keys: readonly string[]): void {
    let isNew = false;
    for (const key of keys) {
      const problem = this.#objects
        .get(key)
        ?.problems.find(({ reason }) => reason === 'MatchesDropped');
      isNew ||= (problem === undefined) === this.#dropped.has(key);
      if (problem === undefined) this.#dropped.delete(key);
      else this.#dropped.set(key, problem);
    }
    if (!this.#isStarted) return;
    if (isNew) this.#tell();
    this.#conditions.touch(keys);
  }
}
