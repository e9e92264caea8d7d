// Laws of the compiler, held against random clusters from one seed. WEFT_SEED=n repeats a failure;
// WEFT_ROUNDS makes the run longer.
import { describe, expect, test } from 'vitest';
import type { ClusterState } from '../../src/api/index.ts';
import { seededRandom, shuffled } from '../../src/lib/random.ts';
import { authorise, decide } from '../../src/route/index.ts';
import {
  applyDelta,
  decodeSection,
  diffSnapshot,
  type Snapshot,
} from '../../src/snapshot/index.ts';
import {
  metaOf,
  namespaceOf,
  serviceOf,
  settingsOf,
  sliceOf,
  splitOf,
  stateOf,
  targetOf,
  type AnyObject,
} from '../support/builders.ts';
import { compiled, headOf, workloadSource, type Compiled } from '../support/core.ts';
import {
  accounts,
  methods,
  namespaces,
  oneOf,
  paths,
  ports,
  randomObjects,
  services,
} from '../support/random-cluster.ts';

const seed = Number(process.env['WEFT_SEED'] ?? 42);
const rounds = Number(process.env['WEFT_ROUNDS'] ?? 60);
const settings = settingsOf();

/** Each round has its own generator, so that one round can be repeated alone. */
function* clusters(): Generator<{
  readonly objects: readonly AnyObject[];
  readonly round: number;
}> {
  for (let round = 0; round < rounds; round += 1) {
    yield { objects: randomObjects(seededRandom(seed * 1_000 + round)), round };
  }
}

function textOf(snapshot: Snapshot): string {
  return [...snapshot.sections.values()].map(({ id, text }) => `${id} ${text}`).join('\n');
}

describe('A3: the same objects in any order, with repeats', () => {
  test('give a byte-identical snapshot, the same policy version and the same problems', () => {
    for (const { objects, round } of clusters()) {
      const random = seededRandom(seed + round);
      const one = compiled(stateOf(...objects), settings);
      const again = shuffled([...objects, ...objects.filter(() => random() < 0.3)], random);
      const other = compiled(stateOf(...again), settings);
      expect(textOf(other.snapshot), `round ${round}`).toBe(textOf(one.snapshot));
      expect(other.snapshot.version).toBe(one.snapshot.version);
      expect(other.topology.policyVersion).toBe(one.topology.policyVersion);
      expect(other.problems).toEqual(one.problems);
    }
  });

  test('whatever was compiled before them', () => {
    let before: Compiled | undefined;
    for (const { objects, round } of clusters()) {
      const state = stateOf(...objects);
      const fresh = compiled(state, settings);
      before = compiled(state, settings, before);
      expect(textOf(before.snapshot), `round ${round}`).toBe(textOf(fresh.snapshot));
      expect(before.problems).toEqual(fresh.problems);
      expect(before.topology.policyVersion).toBe(fresh.topology.policyVersion);
    }
  });

  test('and one object changed at a time: what is taken over is what would be made anew', () => {
    const random = seededRandom(seed);
    let objects = [...randomObjects(random)];
    let before = compiled(stateOf(...objects), settings);
    let state = stateOf(...objects);
    for (let step = 0; step < rounds * 3; step += 1) {
      objects = changedOnce(objects, randomObjects(seededRandom(seed * 7 + step)), random);
      state = withSharedMaps(state, stateOf(...objects));
      const fresh = compiled(state, settings);
      before = compiled(state, settings, before);
      expect(textOf(before.snapshot), `step ${step}`).toBe(textOf(fresh.snapshot));
      expect(before.problems).toEqual(fresh.problems);
      expect(before.topology.policyVersion).toBe(fresh.topology.policyVersion);
    }
  });
});

/** Removes an object, or puts one of another cluster in its place; each kind as often. */
function changedOnce(
  objects: readonly AnyObject[],
  others: readonly AnyObject[],
  random: () => number,
): AnyObject[] {
  const kind = oneOf([...new Set(others.map((object) => object.kind))], random);
  const next = oneOf(
    others.filter((object) => object.kind === kind),
    random,
  );
  const old = objects.find((object) => object.kind === kind);
  const kept = objects.filter((object) => object !== old || random() < 0.8);
  return random() < 0.9 ? [...kept, next] : kept;
}

/** Maps of kinds that did not change keep their identity, as in the store. */
function withSharedMaps(before: ClusterState, after: ClusterState): ClusterState {
  const shared = Object.entries(after).map(([key, value]) => {
    const old: unknown = Reflect.get(before, key);
    return [key, isSameMap(old, value) ? old : value];
  });
  // Built from the entries of a ClusterState, key by key.
  return Object.fromEntries(shared) as ClusterState;
}

function isSameMap(left: unknown, right: unknown): boolean {
  if (!(left instanceof Map) || !(right instanceof Map) || left.size !== right.size) return false;
  return [...left].every(([key, value]) => right.get(key) === value);
}

describe('A6: one bad object', () => {
  test('changes nothing but what it names', () => {
    for (const { objects, round } of clusters()) {
      const random = seededRandom(seed + round);
      const one = compiled(stateOf(...objects), settings);
      const bad = oneOf(badObjects(), random);
      const other = compiled(stateOf(...objects, ...bad.objects), settings);
      const delta = diffSnapshot(one.snapshot, other.snapshot);
      const touched = [...delta.changed.map(({ id }) => String(id)), ...delta.removed.map(String)];
      expect(
        touched.filter((id) => !bad.mayTouch(id)),
        `round ${round}, ${bad.title}`,
      ).toEqual([]);
    }
  });
});

type BadObjects = {
  readonly title: string;
  readonly objects: readonly AnyObject[];
  readonly mayTouch: (section: string) => boolean;
};

function badObjects(): readonly [BadObjects, ...BadObjects[]] {
  const nothing = (): boolean => false;
  return [
    {
      title: 'foreign target',
      objects: [
        targetOf('shop/zz', 'web', ['shop/front'], {
          destination: { kind: 'ServiceAccount', name: 'web', namespace: 'pay' },
        }),
      ],
      mayTouch: nothing,
    },
    {
      title: 'target without sources',
      objects: [targetOf('shop/zz', 'web', [])],
      mayTouch: nothing,
    },
    {
      title: 'target of a group',
      objects: [
        targetOf('shop/zz', 'web', ['shop/front'], {
          destination: { kind: 'Group', name: 'web', namespace: undefined },
        }),
      ],
      mayTouch: nothing,
    },
    {
      title: 'split of a missing root',
      objects: [splitOf('shop/zz', 'nowhere', { web: 1 })],
      mayTouch: nothing,
    },
    {
      title: 'split that claims a foreign name',
      objects: [splitOf('shop/zz', 'web.pay.mesh', { web: 1 })],
      mayTouch: nothing,
    },
    {
      title: 'second split without matches',
      objects: [
        splitOf('shop/aa', 'extra', { extra: 1 }, { meta: metaOf('shop/aa', { createdMs: 1 }) }),
        splitOf('shop/zz', 'extra', { web: 1 }, { meta: metaOf('shop/zz', { createdMs: 2 }) }),
        serviceOf('shop/extra'),
      ],
      mayTouch: (id) => id.endsWith('/shop/extra'),
    },
    { title: 'slice of nobody', objects: [sliceOf('shop/nobody')], mayTouch: nothing },
    {
      title: 'slice that names the metadata server',
      objects: [sliceOf('shop/zz', { serviceName: '', isManaged: false })],
      mayTouch: nothing,
    },
    {
      title: 'namespace without anything',
      objects: [namespaceOf('empty', { 'weft.dev/policy': 'nonsense' })],
      mayTouch: (id) => id === 'namespaces',
    },
  ];
}

describe('a denied pair', () => {
  test('is denied by every route to it, and an allowed one by none', () => {
    let denied = 0;
    for (const { objects, round } of clusters()) {
      const random = seededRandom(seed + round);
      const core = compiled(stateOf(...objects), settings);
      const source = workloadSource(`${oneOf(namespaces, random)}/${oneOf(accounts, random)}`);
      const port = oneOf(ports, random);
      const request = { port, path: oneOf(paths, random), method: oneOf(methods, random) };
      const verdicts = new Map<string, Set<string>>();
      for (const hostname of hostnames()) {
        const decision = decide(core.table, headOf({ hostname, ...request }));
        if (decision.kind === 'refuse') continue;
        for (const { backend } of decision.split.backends) {
          for (const endpoint of backend.endpoints) {
            // The head still names the host of the route; only conditions on host could tell.
            const verdict = authorise(
              core.table,
              source,
              endpoint,
              headOf({ hostname, ...request }),
            );
            const known = verdicts.get(endpoint.id) ?? new Set();
            verdicts.set(endpoint.id, known.add(verdict.kind));
            if (verdict.kind === 'deny') denied += 1;
          }
        }
      }
      for (const [id, kinds] of verdicts)
        expect([...kinds], `round ${round}, ${id}`).toHaveLength(1);
    }
    expect(denied).toBeGreaterThan(0);
  });
});

function hostnames(): readonly string[] {
  const names = namespaces.flatMap((namespace) =>
    services.map((name) => `${name}.${namespace}.mesh`),
  );
  return [...names, 'app.example.com'];
}

describe('A4: nothing in a snapshot is secret', () => {
  test('no annotation, label, uid or pod detail gets into it', () => {
    const secret = 'tHiS-iS-sEcReT';
    const marked = (path: string) =>
      metaOf(path, {
        uid: secret,
        labels: new Map([
          ['weft.dev/mesh', 'enabled'],
          ['token', secret],
        ]),
        annotations: new Map([
          ['weft.dev/policy', 'enforce'],
          ['kubectl.kubernetes.io/last-applied-configuration', secret],
          ['mesh.traefik.io/password', secret],
        ]),
      });
    for (const { objects, round } of clusters()) {
      const marking = objects.map((object) => {
        const path =
          object.meta.namespace === ''
            ? object.meta.name
            : `${object.meta.namespace}/${object.meta.name}`;
        return { ...object, meta: marked(path) };
      });
      const { snapshot } = compiled(stateOf(...marking), settings);
      expect(textOf(snapshot), `round ${round}`).not.toContain(secret);
    }
  });

  test('keys that no type names do not travel', () => {
    const random = seededRandom(seed);
    const objects = randomObjects(random).map((object) =>
      object.kind === 'HTTPRouteGroup'
        ? { ...object, matches: object.matches.map((match) => ({ ...match, password: 'hunter2' })) }
        : object,
    );
    expect(textOf(compiled(stateOf(...objects), settings).snapshot)).not.toContain('hunter2');
  });
});

describe('what travels', () => {
  test('applied delta by delta is what was compiled', () => {
    let held: Snapshot | undefined;
    let before: Snapshot | undefined;
    for (const { objects, round } of clusters()) {
      const { snapshot } = compiled(stateOf(...objects), settings);
      const applied = applyDelta(held, structuredClone(diffSnapshot(before, snapshot)));
      if (applied.kind === 'failure') throw applied.failure;
      expect(applied.snapshot.version, `round ${round}`).toBe(snapshot.version);
      expect([...applied.snapshot.sections.keys()]).toEqual([...snapshot.sections.keys()]);
      held = applied.snapshot;
      before = snapshot;
    }
  });

  test('is read back as it was, section by section', () => {
    for (const { objects } of clusters()) {
      for (const record of compiled(stateOf(...objects), settings).snapshot.sections.values()) {
        const decoded = decodeSection(record.id, record.text);
        expect(decoded.kind === 'section' && decoded.section).toEqual(record.section);
      }
    }
  });
});
