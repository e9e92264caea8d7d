// Watches the SMI objects once more, as they are: which generation each is and which conditions it
// carries. What is compiled comes from the store of `kube`, which knows nothing of status – so that
// writing a status never makes anybody compile. It decides nothing and writes nothing.
import { startReflector } from '../kube/index.ts';
import type { Connection, Reflector, ReflectorOptions, Replacement, Sink } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import { readFacts, smiKinds, type ObjectFacts, type SmiKind } from './object-facts.ts';

export type WatchObjectsOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Something of these objects changed, or they are gone, or were listed. */
  readonly onChange: (keys: readonly string[]) => void;
  /** Every kind was listed, or is known to be missing. */
  readonly onSynced: () => void;
};

export type ObjectsWatch = {
  readonly isSynced: () => boolean;
  /** By `objectKey`; the newest that was seen, by watch or as the answer to a write. */
  readonly get: (key: string) => ObjectFacts | undefined;
  readonly all: () => Iterable<ObjectFacts>;
  /** What the API server answered to a write: the watch may lag behind it. */
  readonly see: (kind: SmiKind, object: unknown) => void;
  readonly stop: () => Promise<void>;
};

/** `Kind namespace/name`. */
export function objectKey(object: {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}): string {
  return `${object.kind} ${object.namespace}/${object.name}`;
}

const smiVersions = ['v1alpha4', 'v1alpha3', 'v1alpha2', 'v1alpha1'];

/** As `kube` reads them; each reflector asks which of the versions are served. */
const resources: { readonly [K in SmiKind]: ReflectorOptions<ObjectFacts>['resource'] } = {
  TrafficTarget: {
    group: 'access.smi-spec.io',
    plural: 'traffictargets',
    versions: smiVersions.slice(1),
  },
  HTTPRouteGroup: { group: 'specs.smi-spec.io', plural: 'httproutegroups', versions: smiVersions },
  TCPRoute: { group: 'specs.smi-spec.io', plural: 'tcproutes', versions: smiVersions },
  UDPRoute: { group: 'specs.smi-spec.io', plural: 'udproutes', versions: ['v1alpha4'] },
  TrafficSplit: { group: 'split.smi-spec.io', plural: 'trafficsplits', versions: smiVersions },
};

/** Plural of a kind, for paths. */
export function pluralOf(kind: SmiKind): string {
  return resources[kind].plural;
}

export function watchObjects(options: WatchObjectsOptions): ObjectsWatch {
  const shelves = new Map(smiKinds.map((kind) => [kind, new FactsShelf(kind, options.onChange)]));
  const reflectors = new Map<SmiKind, Reflector>();
  const isSynced = (): boolean =>
    reflectors.size === smiKinds.length &&
    [...reflectors.values()].every((reflector) => reflector.status().isSynced);
  for (const [kind, shelf] of shelves) {
    const reflector = startReflector<ObjectFacts>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log.with({ kind }),
      resource: resources[kind],
      parse: (object) => ({ value: shelf.read(object), problems: [] }),
      sink: shelf.sink(),
      onSynced: () => {
        if (isSynced()) options.onSynced();
      },
    });
    reflectors.set(kind, reflector);
  }
  return {
    isSynced,
    get: (key) => shelves.get(kindOf(key))?.facts.get(key),
    all: function* () {
      for (const shelf of shelves.values()) yield* shelf.facts.values();
    },
    see: (kind, object) => shelves.get(kind)?.see(object),
    stop: async () => {
      await Promise.all([...reflectors.values()].map((reflector) => reflector.stop()));
    },
  };
}

function kindOf(key: string): SmiKind {
  const word = key.slice(0, key.indexOf(' '));
  return smiKinds.find((kind) => kind === word) ?? 'TrafficSplit';
}

/** The objects of one kind, by `objectKey`. */
class FactsShelf {
  facts = new Map<string, ObjectFacts>();
  readonly #kind: SmiKind;
  readonly #onChange: (keys: readonly string[]) => void;

  constructor(kind: SmiKind, onChange: (keys: readonly string[]) => void) {
    this.#kind = kind;
    this.#onChange = onChange;
  }

  read(object: unknown): ObjectFacts | undefined {
    const fresh = readFacts(this.#kind, object, undefined);
    const before = fresh === undefined ? undefined : this.facts.get(objectKey(fresh));
    return before === undefined ? fresh : readFacts(this.#kind, object, before);
  }

  see(object: unknown): void {
    this.#put(this.read(object));
  }

  sink(): Sink<ObjectFacts> {
    return {
      put: (_path, { value }) => this.#put(value),
      remove: (path, uid) => this.#remove(`${this.#kind} ${path}`, uid),
      replace: () => this.#replace(),
    };
  }

  #put(fresh: ObjectFacts | undefined): void {
    if (fresh === undefined) return;
    const key = objectKey(fresh);
    if (isOlder(fresh, this.facts.get(key))) return;
    this.facts.set(key, fresh);
    this.#onChange([key]);
  }

  #remove(key: string, uid: string): void {
    const known = this.facts.get(key);
    // A late deletion of a predecessor does not take its successor away.
    if (known === undefined || (uid !== '' && known.uid !== uid)) return;
    this.facts.delete(key);
    this.#onChange([key]);
  }

  #replace(): Replacement<ObjectFacts> {
    const next = new Map<string, ObjectFacts>();
    return {
      put: (_path, { value }) => {
        if (value !== undefined) next.set(objectKey(value), value);
      },
      remove: (path) => void next.delete(`${this.#kind} ${path}`),
      commit: () => {
        const keys = new Set([...this.facts.keys(), ...next.keys()]);
        this.facts = next;
        this.#onChange([...keys]);
      },
    };
  }
}

/** Resource versions of one object are decimal numbers that grow (KEP-5504). */
function isOlder(left: ObjectFacts, right: ObjectFacts | undefined): boolean {
  if (right === undefined || left.uid !== right.uid) return false;
  if (!/^\d+$/.test(left.resourceVersion) || !/^\d+$/.test(right.resourceVersion)) return false;
  return BigInt(left.resourceVersion) < BigInt(right.resourceVersion);
}
