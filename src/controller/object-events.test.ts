// Events on objects: one for each object and reason, found again by what it is about.
// How often they are written is tested with the keeper.
import { describe, expect, test } from 'vitest';
import type { Kind, Problem } from '../api/index.ts';
import { eventNamespace, newEvent, readEvent, repeatedEvent, tellingsOf } from './object-events.ts';
import type { Telling } from './object-events.ts';
import { textAt, valueAt } from './raw-object.ts';

const problem = (kind: Kind, name: string, message = 'mend it'): Problem => ({
  reason: 'InvalidSetting',
  kind,
  namespace: kind === 'Namespace' || kind === 'Node' ? '' : 'shop',
  name,
  message,
});

function tell(one: Problem): readonly [string, Telling] {
  const [entry] = [...tellingsOf([one])];
  if (entry === undefined) throw new Error('nothing is told');
  return entry;
}

function eventOf(telling: Telling, uid = 'u1'): unknown {
  const { kind, namespace, name } = telling;
  const regarding = { apiVersion: 'v1', kind, namespace, name, uid };
  return newEvent({ telling, regarding, instance: 'pod-1', now: '2026-01-01T00:00:00Z' });
}

describe('tellingsOf', () => {
  test('problems of one object and reason are one telling', () => {
    const problems = ['a', 'b', 'c'].map((message) => problem('Service', 'web', message));
    const tellings = tellingsOf([...problems, problem('Service', 'api')]);
    expect([...tellings.values()].map(({ message }) => message)).toEqual([
      'a (and 2 more of this kind)',
      'mend it',
    ]);
  });

  test('a message fits into the 1024 bytes of an Event', () => {
    const [, { message }] = tell(problem('Service', 'web', 'ä—'.repeat(5_000)));
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1_024);
    expect(message.endsWith('…')).toBe(true);
  });
});

describe('an Event', () => {
  test.each([
    ['Service', 'web', 'shop'],
    ['Namespace', 'shop', 'shop'],
    ['Node', 'node-1', 'default'],
  ] as const)('about a %s is where people look', (kind, name, namespace) => {
    const [, telling] = tell(problem(kind, name));
    expect(eventNamespace(telling)).toBe(namespace);
    expect(textAt(eventOf(telling), 'metadata', 'namespace')).toBe(namespace);
  });

  test.each(['Service', 'Namespace', 'Node'] as const)('about a %s is found again', (kind) => {
    const [key, telling] = tell(problem(kind, 'web'));
    const read = readEvent(eventOf(telling));
    expect(read.key).toBe(key);
    expect(read.told).toMatchObject({ uid: 'u1', message: 'mend it', count: 1 });
  });

  test('has another name for another object of the same name', () => {
    const [, telling] = tell(problem('Service', 'web'));
    const names = ['u1', 'u2'].map((uid) => textAt(eventOf(telling, uid), 'metadata', 'name'));
    expect(new Set(names).size).toBe(2);
  });

  test('has a valid name whatever its object is called', () => {
    const long = `${'a'.repeat(199)}-${'b'.repeat(50)}`;
    for (const name of ['web', 'a.b-c', long]) {
      const [, telling] = tell(problem('Service', name));
      const given = textAt(eventOf(telling), 'metadata', 'name') ?? '';
      expect(given).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
      expect(given.length).toBeLessThanOrEqual(253);
    }
  });

  test('that is told again counts on, for the version that was read', () => {
    const [, telling] = tell(problem('Service', 'web', 'now this'));
    const { told } = readEvent({ ...(eventOf(telling) as object), count: 4 });
    const again = repeatedEvent({ ...told, resourceVersion: '9' }, telling, 'later');
    expect(again).toEqual({
      metadata: { resourceVersion: '9' },
      message: 'now this',
      lastTimestamp: 'later',
      count: 5,
    });
    expect(valueAt(again, 'firstTimestamp')).toBeUndefined();
  });
});
