// An API server in memory at the seam of `Connection`, for what reads and writes single objects by
// path: resource versions and conflicts, merge patches, refusals on command. No watches. What it
// answers is checked against the real one by the suites that run on both.
import { KubeFailure, type Connection, type KubeReason, type Patch } from '../../src/kube/index.ts';

type Json = Readonly<Record<string, unknown>>;
export type StoredObject = Json & {
  readonly metadata: Json & { readonly resourceVersion: string };
};

export class MemoryObjects {
  readonly connection: Connection;
  /** Every write that was taken, `PATCH /path`. */
  readonly writes: string[] = [];
  readonly #objects = new Map<string, StoredObject>();
  readonly #refusals = new Map<string, KubeReason>();
  /** Runs once, before the next write is looked at. */
  beforeWrite: (() => void) | undefined;
  #version = 100;

  constructor() {
    const unserved = () => Promise.reject(new Error('no such verb here'));
    this.connection = {
      server: 'https://memory',
      get: (path) => this.#answer(() => this.#get(path)),
      create: (path, object) => this.#answer(() => this.#create(path, object)),
      patch: (path, patch) => this.#answer(() => this.#patch(path, patch)),
      remove: (path, options) => this.#answer(() => this.#remove(path, options)),
      update: unserved,
      apply: unserved,
      openStream: unserved,
      within: () => this.connection,
      onlyWhile: () => this.connection,
      onReachable: () => () => undefined,
      close: () => Promise.resolve(),
    };
  }

  put(path: string, object: Json): void {
    this.#version += 1;
    const metadata = { ...asJson(object['metadata']), resourceVersion: String(this.#version) };
    this.#objects.set(path, { ...object, metadata });
  }

  delete(path: string): void {
    this.#objects.delete(path);
  }

  at(path: string): StoredObject | undefined {
    return this.#objects.get(path);
  }

  /** `GET /path` or another verb is refused from now on; `undefined` takes that back. */
  refuse(call: string, reason: KubeReason | undefined): void {
    if (reason === undefined) this.#refusals.delete(call);
    else this.#refusals.set(call, reason);
  }

  async #answer(work: () => unknown): Promise<unknown> {
    await Promise.resolve();
    return structuredClone(work());
  }

  #check(verb: string, path: string): void {
    const reason = this.#refusals.get(`${verb} ${path}`);
    if (reason !== undefined) throw new KubeFailure(reason, `${verb} ${path} is refused`);
  }

  #get(path: string): StoredObject {
    this.#check('GET', path);
    const found = this.#objects.get(path);
    if (found === undefined) throw new KubeFailure('NotFound', `${path} was not found`);
    return found;
  }

  #write(verb: string, path: string): void {
    const first = this.beforeWrite;
    this.beforeWrite = undefined;
    first?.();
    this.#check(verb, path);
  }

  #create(collection: string, object: unknown): unknown {
    const path = `${collection}/${String(asJson(asJson(object)['metadata'])['name'])}`;
    this.#write('POST', path);
    if (this.#objects.has(path)) throw new KubeFailure('AlreadyExists', `${path} exists`);
    this.put(path, asJson(object));
    this.writes.push(`POST ${path}`);
    return this.#objects.get(path);
  }

  #patch(path: string, patch: Patch): unknown {
    this.#write('PATCH', path);
    const before = this.#get(path);
    const wanted = asJson(asJson(patch.body)['metadata'])['resourceVersion'];
    if (wanted !== undefined && wanted !== before.metadata.resourceVersion) {
      throw new KubeFailure('Conflict', `${path} is another version`);
    }
    this.put(path, asJson(merged(before, patch.body)));
    this.writes.push(`PATCH ${path}`);
    return this.#objects.get(path);
  }

  #remove(path: string, options: unknown): unknown {
    this.#write('DELETE', path);
    const { resourceVersion } = this.#get(path).metadata;
    const wanted = asJson(asJson(options)['preconditions'])['resourceVersion'];
    if (wanted !== undefined && wanted !== resourceVersion) {
      throw new KubeFailure('Conflict', `${path} is another version`);
    }
    this.#objects.delete(path);
    this.writes.push(`DELETE ${path}`);
    return {};
  }
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

/** RFC 7396. */
function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result = new Map(Object.entries(asJson(before)));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else result.set(key, merged(result.get(key), value));
  }
  return Object.fromEntries(result);
}
