// Ground state: all objects of all kinds as they are now, fed by one reflector per kind and read as
// one ClusterState. It says of each event whether anything that we use has changed, and whether
// that may wait. It derives nothing.
// Invariant: a state that was handed out never changes; the first change after it copies the map of
// its kind, so that reading costs nothing and a burst of events one copy.
import type { ClusterState, Kind, KindTypes, Parsed, Problem } from '../api/index.ts';
import { sameValue } from './same-value.ts';
import type { Replacement, Sink } from './sink.ts';

/** The kinds of a ClusterState. */
export type WatchedKind = Exclude<Kind, 'ServiceAccount'>;

export type Change = {
  readonly kind: WatchedKind;
  /** Endpoints moved, or somebody stopped traffic: not to be held off. */
  readonly isUrgent: boolean;
};

type Stored<T> = { readonly value: T | undefined; readonly problems: readonly Problem[] };

const stopAnnotation = 'weft.dev/traffic';

/** The kinds on which `traffic: stop` means something. */
const stoppableKinds: ReadonlySet<WatchedKind> = new Set(['Namespace', 'Service']);

/** Endpoints, and who has an address: stale ones cost requests. */
const urgentKinds: ReadonlySet<WatchedKind> = new Set(['EndpointSlice', 'Pod']);

export class ClusterStore {
  readonly #shelves: { readonly [K in WatchedKind]: Shelf<KindTypes[K]> };
  readonly #otherPods: Shelf<KindTypes['Pod']>;
  readonly #listeners = new Set<(change: Change) => void>();
  #state: ClusterState | undefined;
  #pods: JoinedPods | undefined;

  constructor() {
    this.#shelves = {
      Service: this.#shelf('Service'),
      EndpointSlice: this.#shelf('EndpointSlice'),
      Pod: this.#shelf('Pod'),
      Node: this.#shelf('Node'),
      Namespace: this.#shelf('Namespace'),
      TrafficTarget: this.#shelf('TrafficTarget'),
      HTTPRouteGroup: this.#shelf('HTTPRouteGroup'),
      TCPRoute: this.#shelf('TCPRoute'),
      UDPRoute: this.#shelf('UDPRoute'),
      TrafficSplit: this.#shelf('TrafficSplit'),
    };
    this.#otherPods = this.#shelf('Pod');
  }

  /** Where the reflector of this kind puts its objects. */
  sinkFor<K extends WatchedKind>(kind: K): Sink<KindTypes[K]> {
    return this.#shelves[kind].sink();
  }

  /** Where pods go that a second watch is about: they never displace those of the first. */
  otherPodsSink(): Sink<KindTypes['Pod']> {
    return this.#otherPods.sink();
  }

  /** The same value until something changes. */
  state(): ClusterState {
    this.#state ??= this.#read();
    return this.#state;
  }

  /** Called synchronously for every event that changed something; the answer unsubscribes. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #shelf<K extends WatchedKind>(kind: K): Shelf<KindTypes[K]> {
    return new Shelf(stoppableKinds.has(kind), (mayStop) => {
      this.#state = undefined;
      const change = { kind, isUrgent: mayStop || urgentKinds.has(kind) };
      for (const listener of this.#listeners) listener(change);
    });
  }

  /** Of two pods of one name the younger is the one that is; watches may be behind each other. */
  #joinPods(): Pods {
    const own = this.#shelves.Pod.objects();
    const others = this.#otherPods.objects();
    if (others.size === 0) return own;
    const before = this.#pods;
    if (before?.own === own && before.others === others) return before.all;
    const all = new Map(others);
    for (const [key, pod] of own) {
      const other = others.get(key);
      if (other === undefined || other.meta.createdMs <= pod.meta.createdMs) all.set(key, pod);
    }
    this.#pods = { own, others, all };
    return all;
  }

  #read(): ClusterState {
    const shelves = this.#shelves;
    return {
      services: shelves.Service.objects(),
      endpointSlices: shelves.EndpointSlice.objects(),
      pods: this.#joinPods(),
      nodes: shelves.Node.objects(),
      namespaces: shelves.Namespace.objects(),
      trafficTargets: shelves.TrafficTarget.objects(),
      httpRouteGroups: shelves.HTTPRouteGroup.objects(),
      tcpRoutes: shelves.TCPRoute.objects(),
      udpRoutes: shelves.UDPRoute.objects(),
      trafficSplits: shelves.TrafficSplit.objects(),
      problems: Object.values(shelves).flatMap((shelf) => shelf.problems()),
    };
  }
}

type Meta = { readonly uid: string; readonly annotations: ReadonlyMap<string, string> };

type Pods = ClusterState['pods'];
type JoinedPods = { readonly own: Pods; readonly others: Pods; readonly all: Pods };

/** The objects of one kind. */
class Shelf<T extends { readonly meta: Meta }> {
  readonly #isStoppable: boolean;
  readonly #onChange: (mayStop: boolean) => void;
  #objects = new Map<string, T>();
  /** Only objects that have some. */
  #problems = new Map<string, readonly Problem[]>();
  #isLent = false;

  constructor(isStoppable: boolean, onChange: (mayStop: boolean) => void) {
    this.#isStoppable = isStoppable;
    this.#onChange = onChange;
  }

  objects(): ReadonlyMap<string, T> {
    this.#isLent = true;
    return this.#objects;
  }

  /** Sorted by object, for events come in any order. */
  problems(): readonly Problem[] {
    const keys = [...this.#problems.keys()].sort();
    return keys.flatMap((key) => this.#problems.get(key) ?? []);
  }

  sink(): Sink<T> {
    return {
      put: (key, parsed) => this.#put(key, parsed),
      remove: (key, uid) => this.#remove(key, uid),
      replace: () => this.#replace(),
    };
  }

  #put(key: string, parsed: Parsed<T>): void {
    const old = this.#stored(key);
    if (sameValue(old.value, parsed.value) && sameValue(old.problems, parsed.problems)) return;
    this.#own();
    setOrDelete(this.#objects, key, parsed.value);
    setOrDelete(this.#problems, key, parsed.problems.length === 0 ? undefined : parsed.problems);
    this.#onChange(this.#stops(old.value) !== this.#stops(parsed.value));
  }

  #remove(key: string, uid: string): void {
    const old = this.#stored(key);
    // A late deletion of a predecessor does not take its successor away.
    if (old.value !== undefined && uid !== '' && old.value.meta.uid !== uid) return;
    if (old.value === undefined && old.problems.length === 0) return;
    this.#own();
    this.#objects.delete(key);
    this.#problems.delete(key);
    this.#onChange(this.#stops(old.value));
  }

  #replace(): Replacement<T> {
    const objects = new Map<string, T>();
    const problems = new Map<string, readonly Problem[]>();
    let hasNew = false;
    return {
      put: (key, parsed) => {
        // What did not change keeps its identity, so that a re-list holds nothing twice.
        const old = this.#stored(key);
        const isSame = sameValue(old.value, parsed.value);
        const areSame = sameValue(old.problems, parsed.problems);
        hasNew ||= !isSame || !areSame;
        setOrDelete(objects, key, isSame ? old.value : parsed.value);
        setOrDelete(problems, key, parsed.problems.length === 0 ? undefined : parsed.problems);
      },
      remove: (key) => {
        objects.delete(key);
        problems.delete(key);
        hasNew = true;
      },
      commit: () => {
        const isGone = this.#objects.size !== objects.size || this.#problems.size !== problems.size;
        if (!hasNew && !isGone) return;
        const mayStop = this.#hasStop(this.#objects) || this.#hasStop(objects);
        this.#objects = objects;
        this.#problems = problems;
        this.#isLent = false;
        this.#onChange(mayStop);
      },
    };
  }

  #stored(key: string): Stored<T> {
    return { value: this.#objects.get(key), problems: this.#problems.get(key) ?? [] };
  }

  #stops(object: T | undefined): boolean {
    return this.#isStoppable && object?.meta.annotations.get(stopAnnotation) === 'stop';
  }

  #hasStop(objects: ReadonlyMap<string, T>): boolean {
    // Ten thousand pods need not be asked.
    if (!this.#isStoppable) return false;
    for (const object of objects.values()) if (this.#stops(object)) return true;
    return false;
  }

  #own(): void {
    if (!this.#isLent) return;
    this.#objects = new Map(this.#objects);
    this.#isLent = false;
  }
}

function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
