// Watches everything that the mesh is made of: one reflector per kind into one store, and one call
// back when – after the hold-off – there is something new to compile. Nothing is called before
// every kind was listed once, because a topology without its permissions would be a wrong one.
import type { ClusterState, Kind, KindTypes } from '../api/index.ts';
import { parsers } from '../api/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import type { Connection, Query } from './connection.ts';
import { Discovery } from './discovery.ts';
import { createHoldOff } from './hold-off.ts';
import { watchedKinds, watchedResources } from './kinds.ts';
import type { Reflector, ReflectorStatus } from './reflector.ts';
import { startReflector } from './reflector.ts';
import { ClusterStore } from './store.ts';
import type { Sink } from './sink.ts';
import type { WatchedKind } from './store.ts';

/**
 * Whose pods are watched. A proxy that has tunnels needs those of its node, always; the others come
 * and go as they are wanted, by a watch of their own, so that the own ones are never unknown.
 */
export type PodScope =
  | { readonly kind: 'cluster' }
  | { readonly kind: 'node'; readonly nodeName: string };

export type WatchClusterOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly podScope: PodScope;
  /**
   * Everything is listed, or something that we use has changed since. `seenMs` (monotonic) is when
   * the first of the events came that this call is for.
   */
  readonly onChange: (state: ClusterState, seenMs: number) => void;
};

export type KindStatus = ReflectorStatus & { readonly kind: Kind };

export type ClusterWatch = {
  readonly isSynced: () => boolean;
  readonly state: () => ClusterState;
  /** Of scope `node`: from now on the pods of other nodes are watched too, or forgotten. */
  readonly followOtherPods: (isWanted: boolean) => void;
  /** The pods of all nodes were listed and are watched. */
  readonly knowsAllPods: () => boolean;
  /** One entry per kind, always in the same order. */
  readonly status: () => readonly KindStatus[];
  readonly stop: () => Promise<void>;
};

export function watchCluster(options: WatchClusterOptions): ClusterWatch {
  const store = new ClusterStore();
  const discovery = new Discovery(options.connection, options.runtime.clock);
  const reflectors = new Map<WatchedKind, Reflector>();
  const isSynced = (): boolean =>
    reflectors.size === watchedKinds.length &&
    [...reflectors.values()].every((reflector) => reflector.status().isSynced);
  const holdOff = createHoldOff(options.runtime, (seenMs) =>
    options.onChange(store.state(), seenMs),
  );
  let wasSynced = false;
  const note = (isUrgent: boolean): void => {
    if (!wasSynced) {
      if (!isSynced()) return;
      wasSynced = true;
    }
    holdOff.note(isUrgent);
  };
  const unsubscribe = store.subscribe((change) => note(change.isUrgent));
  const start = <K extends WatchedKind>(
    kind: K,
    selector: Query = {},
    sink: Sink<KindTypes[K]> = store.sinkFor(kind),
  ): Reflector =>
    startReflector<KindTypes[K]>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log.with({ kind }),
      resource: watchedResources[kind],
      selector,
      discovery,
      parse: parsers[kind],
      sink,
      onSynced: () => note(true),
    });
  const { podScope } = options;
  for (const kind of watchedKinds) {
    reflectors.set(kind, start(kind, kind === 'Pod' ? ownPods(podScope) : {}));
  }
  const others = new OtherPods({
    scope: podScope,
    sink: store.otherPodsSink(),
    start: (selector, sink) => start('Pod', selector, sink),
  });
  return {
    isSynced,
    state: () => store.state(),
    followOtherPods: (isWanted) => others.follow(isWanted),
    knowsAllPods: () => isSynced() && others.isKnown(),
    status: () => [...reflectors].map(([kind, reflector]) => ({ kind, ...reflector.status() })),
    stop: async () => {
      unsubscribe();
      holdOff.cancel();
      const stopped = [...reflectors.values()].map((reflector) => reflector.stop());
      await Promise.all([...stopped, others.stop()]);
    },
  };
}

type PodSink = Sink<KindTypes['Pod']>;

type OtherPodsOptions = {
  readonly scope: PodScope;
  readonly sink: PodSink;
  readonly start: (selector: Query, sink: PodSink) => Reflector;
};

/** The pods of other nodes, while they are wanted. */
class OtherPods {
  readonly #options: OtherPodsOptions;
  #reflector: Reflector | undefined;
  #stopping: Promise<void> = Promise.resolve();

  constructor(options: OtherPodsOptions) {
    this.#options = options;
  }

  isKnown(): boolean {
    if (this.#options.scope.kind === 'cluster') return true;
    return this.#reflector?.status().isSynced === true;
  }

  follow(isWanted: boolean): void {
    const { scope, sink, start } = this.#options;
    if (scope.kind === 'cluster' || isWanted === (this.#reflector !== undefined)) return;
    const before = this.#reflector;
    this.#reflector = undefined;
    if (before === undefined) {
      const isCurrent = (): boolean => this.#reflector === running;
      const running: Reflector = start(podsElsewhere(scope.nodeName), whileTrue(sink, isCurrent));
      this.#reflector = running;
      return;
    }
    this.#stopping = Promise.all([this.#stopping, before.stop()]).then(() => undefined);
    sink.replace().commit();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#stopping, this.#reflector?.stop()]);
  }
}

/** A reflector that was stopped may still have a word to say. */
function whileTrue(sink: PodSink, isCurrent: () => boolean): PodSink {
  return {
    put: (key, parsed) => {
      if (isCurrent()) sink.put(key, parsed);
    },
    remove: (key, uid) => {
      if (isCurrent()) sink.remove(key, uid);
    },
    replace: () => {
      const { put, remove, commit } = sink.replace();
      return { put, remove, commit: () => (isCurrent() ? commit() : undefined) };
    },
  };
}

function ownPods(scope: PodScope): Query {
  return scope.kind === 'cluster' ? {} : { fieldSelector: `spec.nodeName=${scope.nodeName}` };
}

/** One that has no node yet has no address either. */
function podsElsewhere(nodeName: string): Query {
  return { fieldSelector: `spec.nodeName!=${nodeName},spec.nodeName!=` };
}
