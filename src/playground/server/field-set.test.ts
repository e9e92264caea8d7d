// Sets of fields: what an object sets, and that the wire form loses nothing.
// Who owns what after a write is in the conformance cases.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { changedFields, fieldsOf, fromFieldsV1, readablePath, toFieldsV1 } from './field-set.ts';
import type { JsonObject } from './json.ts';
import {
  listByKey,
  listOf,
  mapOfText,
  object,
  setOf,
  text,
  whole,
  withDefault,
} from './schemas/words.ts';

const shape = object({
  name: text,
  size: whole,
  labels: mapOfText,
  tags: setOf(text),
  steps: listOf(text),
  ports: listByKey(
    ['port', 'protocol'],
    object({ port: whole, protocol: withDefault(text, 'TCP'), name: text }),
  ),
});

function wire(value: JsonObject): JsonObject {
  return toFieldsV1(fieldsOf(shape, value));
}

describe('the fields of an object', () => {
  test('leaves, keys of maps, items of sets and maps, atomic lists as a whole', () => {
    const value = {
      name: 'x',
      labels: { a: '1' },
      tags: ['t'],
      steps: ['s', 'u'],
      ports: [{ port: 80, name: 'http' }],
    };
    expect(wire(value)).toEqual({
      'f:name': {},
      'f:labels': { 'f:a': {} },
      'f:tags': { 'v:"t"': {} },
      'f:steps': {},
      'f:ports': {
        'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:port': {} },
      },
    });
  });

  test('a change names the leaf that changed, and an item that is new', () => {
    const before = { size: 1, ports: [{ port: 80, name: 'a' }] };
    const after = {
      size: 2,
      ports: [
        { port: 80, name: 'a' },
        { port: 81, name: 'b' },
      ],
    };
    const changed = [...changedFields(shape, after, before)].map(readablePath).toSorted();
    expect(changed).toEqual([
      '.ports[port=81,protocol="TCP"]',
      '.ports[port=81,protocol="TCP"].name',
      '.ports[port=81,protocol="TCP"].port',
      '.size',
    ]);
    expect(changedFields(shape, after, after).size).toBe(0);
  });

  test('the order of an atomic list matters, that of keys in it does not', () => {
    expect(changedFields(shape, { steps: ['a', 'b'] }, { steps: ['b', 'a'] }).size).toBe(1);
  });
});

describe('FieldsV1', () => {
  test('reading what was written gives the same set, for random sets', () => {
    const random = seededRandom(11);
    const steps = ['f:a', 'f:b', 'f:.', 'k:{"x":1}', 'v:"y"'];
    for (let round = 0; round < 200; round += 1) {
      const paths = Array.from({ length: 1 + Math.floor(random() * 6) }, () =>
        Array.from(
          { length: 1 + Math.floor(random() * 4) },
          () => steps[Math.floor(random() * steps.length)] ?? 'f:a',
        ).join('\u0000'),
      );
      const set = new Set(paths);
      expect([...fromFieldsV1(toFieldsV1(set))].toSorted()).toEqual([...set].toSorted());
    }
  });

  test('what is no tree of objects is an empty set', () => {
    for (const nonsense of [undefined, null, 'x', 7, []]) {
      expect(fromFieldsV1(nonsense).size).toBe(0);
    }
  });
});
