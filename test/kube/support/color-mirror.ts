// A reflector of the memory server's one kind into a plain Map, for tests.
// It holds uid and color of each thing, so that predecessors can be told from successors.
import { connectionOver, startReflector } from '../../../src/kube/index.ts';
import type { Reflector, Sink } from '../../../src/kube/index.ts';
import { silentLog } from '../../../src/telemetry/index.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import type { MemoryServer, Thing } from './memory-server.ts';

export const thingPath = '/apis/test.dev/v1/things';

export type Held = { readonly uid: string; readonly color: string };

export type ColorMirror = {
  readonly reflector: Reflector;
  /** What the sink holds: key → object. */
  readonly held: ReadonlyMap<string, Held>;
  readonly commits: () => number;
};

export function mirrorColors(
  server: MemoryServer,
  fake: FakeRuntime,
  where: { readonly namespace?: string } = {},
): ColorMirror {
  const held = new Map<string, Held>();
  let commits = 0;
  const put = (into: Map<string, Held>, key: string, value: Held | undefined): void => {
    if (value === undefined) into.delete(key);
    else into.set(key, value);
  };
  const sink: Sink<Held> = {
    put: (key, parsed) => put(held, key, parsed.value),
    remove: (key, uid) => {
      if (held.get(key)?.uid === uid) held.delete(key);
    },
    replace: () => {
      const next = new Map<string, Held>();
      return {
        put: (key, parsed) => put(next, key, parsed.value),
        remove: (key) => next.delete(key),
        commit: () => {
          commits += 1;
          held.clear();
          for (const [key, value] of next) held.set(key, value);
        },
      };
    },
  };
  const reflector = startReflector<Held>({
    connection: connectionOver(server.transport, fake.runtime),
    runtime: fake.runtime,
    log: silentLog,
    ...where,
    resource: { group: 'test.dev', plural: 'things', versions: ['v1'] },
    parse: (input) => {
      // The memory server sends nothing but things.
      const thing = input as Thing;
      return { value: { uid: thing.metadata.uid, color: thing.spec.color }, problems: [] };
    },
    sink,
  });
  return { reflector, held, commits: () => commits };
}

/** What the sink should hold. */
export function expectedOf(server: MemoryServer): ReadonlyMap<string, Held> {
  const entries = [...server.objects.values()].map((thing): [string, Held] => [
    `default/${thing.metadata.name}`,
    { uid: thing.metadata.uid, color: thing.spec.color },
  ]);
  return new Map(entries);
}
