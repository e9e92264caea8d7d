// All objects of one kind as they are on the API server now, unparsed: the simulator plays several
// controllers and needs more of an object than the mesh does.
import { startReflector, type Connection, type Reflector } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import { isObject, nameOf, namespaceOf, type JsonObject } from '../server/json.ts';

/** Which kind, and whom to tell of changes. */
export type MirrorOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly onChange: () => void;
};

function keyOf(object: JsonObject): string {
  const namespace = namespaceOf(object);
  return namespace === '' ? nameOf(object) : `${namespace}/${nameOf(object)}`;
}

/** One kind's objects, by namespace and name; `stop` ends its watch. */
export class Mirror {
  readonly #objects = new Map<string, JsonObject>();
  readonly #reflector: Reflector;

  constructor(options: MirrorOptions) {
    const { connection, runtime, group, version, plural, onChange } = options;
    const put = (
      into: Map<string, JsonObject>,
      key: string,
      value: JsonObject | undefined,
    ): void => {
      if (value === undefined) into.delete(key);
      else into.set(key, value);
    };
    this.#reflector = startReflector<JsonObject>({
      connection,
      runtime,
      resource: { group, plural, versions: [version] },
      // What an API server sends as an object is a JSON object.
      parse: (input) => ({ value: input as JsonObject, problems: [] }),
      onSynced: onChange,
      sink: {
        put: (key, parsed) => {
          put(this.#objects, key, parsed.value);
          onChange();
        },
        remove: (key, uid) => {
          const held = this.#objects.get(key);
          const metadata = held?.metadata;
          if (!isObject(metadata) || metadata.uid !== uid) return;
          this.#objects.delete(key);
          onChange();
        },
        replace: () => {
          const next = new Map<string, JsonObject>();
          return {
            put: (key, parsed) => put(next, key, parsed.value),
            remove: (key) => next.delete(key),
            commit: () => {
              this.#objects.clear();
              for (const [key, object] of next) this.#objects.set(key, object);
              onChange();
            },
          };
        },
      },
    });
  }

  get isSynced(): boolean {
    return this.#reflector.status().isSynced;
  }

  /** In order of namespace and name. */
  all(): readonly JsonObject[] {
    return [...this.#objects]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([, object]) => object);
  }

  get(namespace: string, name: string): JsonObject | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  /** What a write of our own answered, ahead of its event: so that nothing is created twice. */
  note(object: JsonObject): void {
    this.#objects.set(keyOf(object), object);
  }

  forget(object: JsonObject): void {
    this.#objects.delete(keyOf(object));
  }

  stop(): Promise<void> {
    return this.#reflector.stop();
  }
}
