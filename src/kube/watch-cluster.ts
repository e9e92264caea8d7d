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
import type { WatchedKind } from './store.ts';

/** Whose pods are watched. A proxy that has tunnels needs only those of its node. */
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
  const start = <K extends WatchedKind>(kind: K): void => {
    const selector = kind === 'Pod' ? podSelector(options.podScope) : {};
    const reflector = startReflector<KindTypes[K]>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log.with({ kind }),
      resource: watchedResources[kind],
      selector,
      discovery,
      parse: parsers[kind],
      sink: store.sinkFor(kind),
      onSynced: () => note(true),
    });
    reflectors.set(kind, reflector);
  };
  for (const kind of watchedKinds) start(kind);
  return {
    isSynced,
    state: () => store.state(),
    status: () => [...reflectors].map(([kind, reflector]) => ({ kind, ...reflector.status() })),
    stop: async () => {
      unsubscribe();
      holdOff.cancel();
      await Promise.all([...reflectors.values()].map((reflector) => reflector.stop()));
    },
  };
}

function podSelector(scope: PodScope): Query {
  return scope.kind === 'cluster' ? {} : { fieldSelector: `spec.nodeName=${scope.nodeName}` };
}
