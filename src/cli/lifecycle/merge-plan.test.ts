// Laws of the change that an upgrade makes: what we want is there afterwards, what others set
// stays, and where nothing changes nothing is sent.
import { describe, expect, test } from 'vitest';
import { isMap, type Json, type JsonMap } from '../install/json.ts';
import { covers, planMerge } from './merge-plan.ts';

/** RFC 7396. */
function merged(target: Json | undefined, patch: Json): Json {
  if (!isMap(patch)) return patch;
  const result: Record<string, Json> = {};
  if (target !== undefined && isMap(target)) Object.assign(result, target);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

function afterwards(wanted: JsonMap, last: JsonMap, live: JsonMap): Json {
  return merged(live, planMerge(wanted, last, live).patch);
}

const container = { name: 'weft', image: 'weft:1', env: [{ name: 'A', value: '1' }] };
const withDefaults = { ...container, terminationMessagePolicy: 'File' };

describe('an upgrade', () => {
  test('sends nothing when the object says all that we want, with defaults', () => {
    const wanted = { spec: { containers: [container], tolerations: [] } };
    const plan = planMerge(wanted, wanted, { spec: { containers: [withDefaults] } });
    expect(plan).toEqual({ changes: [], patch: {} });
  });

  test('knows a quantity in the way in which the API server writes it', () => {
    const wanted = { pods: '20000', memory: '1024Mi', cpu: '0.5', text: '1e' };
    expect(
      planMerge(wanted, {}, { pods: '20k', memory: '1Gi', cpu: '500m', text: '1e' }).patch,
    ).toEqual({});
    expect(planMerge({ memory: '1025Mi' }, {}, { memory: '1Gi' }).changes).toHaveLength(1);
  });

  test('shows the one field of a list that changes, and replaces the list', () => {
    const wanted = { spec: { containers: [{ ...container, image: 'weft:2' }] } };
    const plan = planMerge(wanted, {}, { spec: { containers: [withDefaults] } });
    expect(plan.changes).toEqual([
      { path: 'spec.containers[0].image', from: 'weft:1', to: 'weft:2' },
    ]);
    expect(plan.patch).toEqual(wanted);
  });

  test('takes away what was applied before and is not wanted any more', () => {
    const last = { spec: { a: 1, b: 2 } };
    const plan = planMerge({ spec: { a: 1 } }, last, { spec: { a: 1, b: 2, c: 3 } });
    expect(plan.patch).toEqual({ spec: { b: null } });
    expect(plan.changes).toEqual([{ path: 'spec.b', from: 2, to: undefined }]);
  });

  test('takes away what it applied in a map, and leaves what others have put into it', () => {
    const last = { metadata: { annotations: { ours: '1' } } };
    const live = { metadata: { annotations: { ours: '1', theirs: '2' } } };
    expect(planMerge({ metadata: {} }, last, live).patch).toEqual({
      metadata: { annotations: { ours: null } },
    });
    expect(planMerge({}, { metadata: { annotations: {} } }, live).patch).toEqual({});
  });

  test('takes away a field of a list item that was applied before', () => {
    const last = { spec: { containers: [container] } };
    const wanted = { spec: { containers: [{ name: 'weft', image: 'weft:1' }] } };
    const result = afterwards(wanted, last, { spec: { containers: [withDefaults] } });
    expect(result).toEqual(wanted);
  });

  test('leaves what others have set', () => {
    const live = { metadata: { labels: { theirs: 'x', ours: 'old' } }, status: { ready: 1 } };
    const result = afterwards({ metadata: { labels: { ours: 'new' } } }, {}, live);
    expect(result).toEqual({
      metadata: { labels: { theirs: 'x', ours: 'new' } },
      status: { ready: 1 },
    });
  });

  test('what we want is there afterwards, and a second upgrade sends nothing', () => {
    const lives: readonly JsonMap[] = [
      {},
      { spec: null },
      { spec: { containers: [] } },
      { spec: { containers: 'odd', replicas: 2 } },
      { spec: { containers: [withDefaults, withDefaults] } },
    ];
    const wanted = { spec: { containers: [container], replicas: 3, selector: { a: 'b' } } };
    for (const live of lives) {
      const result = afterwards(wanted, wanted, live) as JsonMap;
      expect(covers(result, wanted)).toBe(true);
      expect(planMerge(wanted, wanted, result).patch).toEqual({});
    }
  });
});
