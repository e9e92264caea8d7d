// Which live numbers follow which sections: a key that several sections name keeps its slot until
// the last of them is gone.
import { describe, expect, test } from 'vitest';
import {
  entryOf,
  namespaceOf,
  serviceOf,
  settingsOf,
  sliceOf,
  splitOf,
  stateOf,
  type AnyObject,
} from '../../test/support/builders.ts';
import { compiled } from '../../test/support/core.ts';
import { seededRandom } from '../lib/random.ts';
import { createSlotMemory, SlotAllocator, type SlotDelta } from '../telemetry/index.ts';
import { SlotKeys } from './slot-keys.ts';

function followed() {
  const memory = createSlotMemory({ split: 16, endpoint: 16, service: 16 });
  const allocator = new SlotAllocator(memory, seededRandom(1));
  const keys = new SlotKeys(allocator);
  const follow = (...objects: readonly AnyObject[]): SlotDelta =>
    keys.follow(compiled(stateOf(namespaceOf('shop'), ...objects), settingsOf()).snapshot);
  return { follow, allocator };
}

function service(name: string, ...addresses: readonly string[]): readonly AnyObject[] {
  const endpoints = addresses.map((address) => entryOf(address));
  return [serviceOf(`shop/${name}`), sliceOf(`shop/${name}`, { endpoints })];
}

const textOf = (entries: SlotDelta['set'] | SlotDelta['freed']): readonly string[] =>
  entries.map(([kind, key]) => `${kind} ${key}`).sort();

describe('slots follow the snapshot', () => {
  test('one per service, per split of a port and per endpoint', () => {
    const { follow } = followed();
    const { set, freed } = follow(...service('web', '10.1.0.2', '10.1.0.3'));
    expect(textOf(set)).toEqual([
      'endpoint 10.1.0.2:8080',
      'endpoint 10.1.0.3:8080',
      'service shop/web',
      expect.stringMatching(/^split .*shop\/web.*80/),
    ]);
    expect(freed).toEqual([]);
  });

  test('nothing is told when nothing changed', () => {
    const { follow } = followed();
    follow(...service('web', '10.1.0.2'));
    expect(follow(...service('web', '10.1.0.2'))).toEqual({ set: [], freed: [] });
  });

  test('an endpoint of two services keeps its slot while one of them has it', () => {
    const { follow, allocator } = followed();
    follow(...service('web', '10.1.0.2'), ...service('api', '10.1.0.2'));
    const before = allocator.all();
    const { freed } = follow(...service('api', '10.1.0.2'));
    expect(textOf(freed)).not.toContain('endpoint 10.1.0.2:8080');
    const slotOf = (delta: SlotDelta) => delta.set.find(([, key]) => key === '10.1.0.2:8080')?.[2];
    expect(slotOf(allocator.all())).toBe(slotOf(before));
    expect(textOf(follow().freed)).toContain('endpoint 10.1.0.2:8080');
  });

  test.each([
    ['web', 'api'],
    ['api', 'web'],
  ])('an endpoint that moves from %s to %s is neither freed nor given anew', (from, to) => {
    const { follow } = followed();
    follow(...service(from, '10.1.0.2'), ...service(to));
    const { set, freed } = follow(...service(from), ...service(to, '10.1.0.2'));
    expect({ set, freed }).toEqual({ set: [], freed: [] });
  });

  test('an endpoint that leaves its service gives its slot back', () => {
    const { follow } = followed();
    follow(...service('web', '10.1.0.2', '10.1.0.3'));
    const { set, freed } = follow(...service('web', '10.1.0.2'));
    expect(set).toEqual([]);
    expect(textOf(freed)).toEqual(['endpoint 10.1.0.3:8080']);
  });

  test('a split that changes only its weights keeps its turn', () => {
    const { follow } = followed();
    const services = [...service('web', '10.1.0.2'), ...service('v2', '10.1.0.3')];
    const weighted = (v2: number) => splitOf('shop/web', 'web', { web: 10, v2 });
    follow(...services, weighted(1));
    expect(follow(...services, weighted(5))).toEqual({ set: [], freed: [] });
  });
});
