// What the controller knows of an SMI object besides what is compiled: R-46 above all, and what is
// no object.
import { describe, expect, test } from 'vitest';
import { readFacts, type ObjectFacts } from './object-facts.ts';

type Write = {
  readonly generation: number;
  readonly matches?: readonly unknown[];
  readonly writers: readonly (readonly [version: string, time: string])[];
  readonly uid?: string;
  readonly told?: boolean;
  /** What the last of the writers changed. */
  readonly field?: 'f:metadata';
};

const matches = [{ kind: 'HTTPRouteGroup', name: 'beta' }];

function split({ generation, matches, writers, uid = 'u1', told = false, field }: Write): unknown {
  const conditions = [{ type: 'Accepted', status: 'True', reason: 'MatchesDropped' }];
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: {
      name: 'web',
      namespace: 'shop',
      uid,
      generation,
      resourceVersion: String(generation),
      managedFields: [
        ...writers.map(([version, time], index) => ({
          manager: 'someone',
          apiVersion: `split.smi-spec.io/${version}`,
          time,
          fieldsV1: { [(index === writers.length - 1 && field) || 'f:spec']: { 'f:x': {} } },
        })),
        {
          manager: 'weft-controller-status',
          apiVersion: 'split.smi-spec.io/v1alpha4',
          time: '2026-12-31T00:00:00Z',
          subresource: 'status',
          fieldsV1: { 'f:status': {} },
        },
      ],
    },
    spec: { service: 'web', backends: [{ service: 'v1', weight: 1 }], matches },
    ...(told ? { status: { conditions } } : {}),
  };
}

/** Reads the writes one after the other, as the watch does. */
function after(...writes: readonly Write[]): readonly string[] {
  let facts: ObjectFacts | undefined;
  for (const write of writes) facts = readFacts('TrafficSplit', split(write), facts);
  return facts?.problems.map(({ reason }) => reason) ?? [];
}

const created: Write = { generation: 1, matches, writers: [['v1alpha4', '2026-01-01T00:00:00Z']] };
const byFlagger: Write = {
  generation: 2,
  writers: [...created.writers, ['v1alpha2', '2026-01-01T00:01:00Z']],
};

describe('R-46 matches that a client of an old version drops', () => {
  test('are noticed when a new generation has none and v1alpha2 wrote it', () => {
    expect(after(created, byFlagger)).toEqual(['MatchesDropped']);
  });

  test('stay noticed as long as that client goes on', () => {
    const next: Write = {
      generation: 3,
      writers: [...created.writers, ['v1alpha2', '2026-01-01T00:02:00Z']],
    };
    expect(after(created, byFlagger, next)).toEqual(['MatchesDropped']);
  });

  test('are over once they are back, or somebody writes through a newer version', () => {
    const back = { ...byFlagger, generation: 3, matches };
    expect(after(created, byFlagger, back)).toEqual([]);
    const newer: Write = {
      generation: 3,
      writers: [...byFlagger.writers, ['v1alpha4', '2026-01-01T00:05:00Z']],
    };
    expect(after(created, byFlagger, newer)).toEqual([]);
  });

  test('are noticed when that client changed an annotation only', () => {
    expect(after(created, { ...byFlagger, field: 'f:metadata' })).toEqual(['MatchesDropped']);
  });

  test('stay noticed when somebody annotates through a newer version', () => {
    const annotated: Write = {
      generation: 2,
      writers: [...byFlagger.writers, ['v1alpha4', '2026-01-01T00:05:00Z']],
      field: 'f:metadata',
    };
    expect(after(created, byFlagger, annotated)).toEqual(['MatchesDropped']);
  });

  test('are nobody’s mistake when a new version wrote the object', () => {
    const byUser: Write = { generation: 2, writers: [['v1alpha4', '2026-01-01T00:01:00Z']] };
    expect(after(created, byUser)).toEqual([]);
  });

  test('are not missed in a split that never had any', () => {
    const bare: Write = { generation: 1, writers: [['v1alpha1', '2026-01-01T00:00:00Z']] };
    expect(after(bare, byFlagger)).toEqual([]);
  });

  test('are not those of a predecessor with the same name', () => {
    expect(after(created, { ...byFlagger, uid: 'u2' })).toEqual([]);
  });

  test('are remembered by the object when the controller starts anew', () => {
    expect(after({ ...byFlagger, told: true })).toEqual(['MatchesDropped']);
    expect(after(byFlagger)).toEqual([]);
  });
});

describe('readFacts', () => {
  test('an object that cannot be read says why', () => {
    const object = split(created) as { spec: unknown };
    const facts = readFacts('TrafficSplit', { ...object, spec: { service: 3 } }, undefined);
    expect(facts).toMatchObject({ isReadable: false, generation: 1 });
    expect(facts?.problems[0]?.reason).toBe('InvalidObject');
  });

  test.each([[undefined], ['text'], [{}], [{ metadata: { name: 'web' } }]])(
    'nonsense is no object: %j',
    (object) => {
      expect(readFacts('TCPRoute', object, undefined)).toBeUndefined();
    },
  );
});
