// What conditions say: from problems, generation and the spread over nodes, one law per test.
// When they are written is tested with the keeper.
import { describe, expect, test } from 'vitest';
import type { Problem, ProblemReason } from '../api/index.ts';
import { areAsDesired, desiredConditions, isProgrammed, readConditions } from './conditions.ts';
import type { Condition, ConditionInput } from './conditions.ts';

const problem = (reason: ProblemReason, message: string): Problem => ({
  reason,
  kind: 'TrafficSplit',
  namespace: 'shop',
  name: 'web',
  message,
});

function conditions(input: Partial<ConditionInput> = {}): ReadonlyMap<string, Condition> {
  const desired = desiredConditions({
    generation: 3,
    isReadable: true,
    problems: [],
    spread: { on: 2, of: 2 },
    existing: [],
    now: '2026-01-01T00:00:00Z',
    ...input,
  });
  return new Map(desired.map((condition) => [condition.type, condition]));
}

const said = (all: ReadonlyMap<string, Condition>) =>
  [...all.values()].map(({ type, status, reason }) => `${type}=${status} ${reason}`);

describe('desiredConditions', () => {
  test('an object without problems is accepted, resolved and programmed', () => {
    expect(said(conditions())).toEqual([
      'Accepted=True Accepted',
      'ResolvedRefs=True ResolvedRefs',
      'Programmed=True Programmed',
    ]);
  });

  test('each condition is of the generation that was looked at', () => {
    for (const { observedGeneration } of conditions().values()) expect(observedGeneration).toBe(3);
  });

  test('what is refused and what is unresolved are told apart', () => {
    const problems = [
      problem('BackendMissing', 'backend shop/a: create it'),
      problem('Conflict', 'the older one: delete one'),
    ];
    const all = conditions({ problems });
    expect(all.get('Accepted')).toMatchObject({ status: 'False', reason: 'Conflict' });
    expect(all.get('Accepted')?.message).toBe('the older one: delete one');
    expect(all.get('ResolvedRefs')?.message).toBe('backend shop/a: create it');
  });

  test('advice leaves the object accepted, and is said', () => {
    const problems = [problem('NamespaceDefaulted', 'write it down')];
    const accepted = conditions({ problems }).get('Accepted');
    expect(accepted).toMatchObject({ status: 'True', reason: 'NamespaceDefaulted' });
    expect(accepted?.message).toBe('write it down');
  });

  test('what is refused outweighs advice', () => {
    const problems = [problem('ShapeMixed', 'a'), problem('NoRules', 'b')];
    expect(conditions({ problems }).get('Accepted')?.message).toBe('b');
  });

  test('many problems are told up to five, and counted', () => {
    const numbers = Array.from({ length: 8 }, (_, index) => index);
    const problems = numbers.map((number) => problem('BackendMissing', `p${number}`));
    expect(conditions({ problems }).get('ResolvedRefs')?.message).toBe(
      'p0; p1; p2; p3; p4; and 3 more',
    );
  });

  test('problems of several reasons are told with their reasons', () => {
    const problems = [problem('BackendMissing', 'one'), problem('UnresolvedRoute', 'two')];
    expect(conditions({ problems }).get('ResolvedRefs')?.message).toBe(
      'BackendMissing: one; UnresolvedRoute: two',
    );
  });

  test('a message stays below what the schema takes', () => {
    const problems = [problem('InvalidObject', 'x'.repeat(40_000))];
    expect(conditions({ problems }).get('Accepted')?.message.length).toBeLessThan(4_001);
  });

  test('an object that cannot be read resolves and programs nothing', () => {
    const problems = [problem('InvalidObject', 'spec is 3: write an object')];
    expect(said(conditions({ isReadable: false, problems }))).toEqual([
      'Accepted=False InvalidObject',
      'ResolvedRefs=Unknown NotRead',
      'Programmed=False NotRead',
    ]);
  });

  test('a node that lags is counted, and no proxy at all is no success', () => {
    const lagging = conditions({ spread: { on: 11, of: 12 } }).get('Programmed');
    expect(lagging).toMatchObject({ status: 'False', reason: 'Pending' });
    expect(lagging?.message).toMatch(/^on 11 of 12 nodes/);
    const none = conditions({ spread: { on: 0, of: 0 } }).get('Programmed');
    expect(none).toMatchObject({ status: 'False', reason: 'Pending' });
  });

  test('Programmed is not withdrawn within a generation, and begins anew with the next', () => {
    const existing = [...conditions().values()];
    const later = { existing, spread: { on: 0, of: 5 } };
    expect(conditions(later).get('Programmed')?.status).toBe('True');
    expect(conditions({ ...later, generation: 4 }).get('Programmed')?.status).toBe('False');
    expect(isProgrammed(existing, 3)).toBe(true);
    expect(isProgrammed(existing, 4)).toBe(false);
  });

  test('lastTransitionTime moves with the status alone', () => {
    const existing = [...conditions().values()];
    const now = '2026-01-01T01:00:00Z';
    const advice = [problem('WeightRounded', 'write whole numbers')];
    const same = conditions({ existing, now, problems: advice, generation: 4 });
    expect(same.get('Accepted')?.lastTransitionTime).toBe('2026-01-01T00:00:00Z');
    const refused = [problem('NoBackendWeight', 'give one backend a weight')];
    const other = conditions({ existing, now, problems: refused });
    expect(other.get('Accepted')?.lastTransitionTime).toBe(now);
    expect(other.get('ResolvedRefs')?.lastTransitionTime).toBe('2026-01-01T00:00:00Z');
  });
});

describe('areAsDesired', () => {
  const desired = [...conditions().values()];

  test('times do not count, conditions of others neither', () => {
    const foreign = { ...desired[0], type: 'Ready' } as Condition;
    const older = desired.map((one) => ({ ...one, lastTransitionTime: '2020-01-01T00:00:00Z' }));
    expect(areAsDesired([foreign, ...older], desired)).toBe(true);
  });

  test.each([
    ['status', { status: 'Unknown' }],
    ['reason', { reason: 'Other' }],
    ['message', { message: 'other' }],
    ['generation', { observedGeneration: 2 }],
  ])('another %s is a difference', (_what, change) => {
    const changed = desired.map((one) => ({ ...one, ...change }) as Condition);
    expect(areAsDesired(changed, desired)).toBe(false);
  });

  test('what the API server holds is read back as it was written', () => {
    expect(readConditions({ status: { conditions: desired } })).toEqual(desired);
    expect(areAsDesired(readConditions({ status: 'nonsense' }), desired)).toBe(false);
  });
});
