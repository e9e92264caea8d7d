// How a plan is printed: what a program reads of it, and what people do. What is in a plan is
// judged by the golden cases of network-policies.
import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import type { PolicyPlan } from './network-policies.ts';
import { isFinding, planJson, planTable, planYaml } from './policy-text.ts';

const manifest = { kind: 'NetworkPolicy', metadata: { name: 'weft-ingress' } };
const plan: PolicyPlan = {
  namespace: 'shop',
  policy: 'enforce',
  state: 'advisory',
  gaps: Array.from({ length: 12 }, (_, index) => ({
    pod: `shop/api-${index}`,
    service: 'api',
    kind: 'unselected',
  })),
  manifests: [manifest],
  existing: [{ policy: 'shop/closed', effect: 'blocks', message: 'it keeps out\n- calls' }],
};

describe('a plan as YAML', () => {
  test('is the manifests alone to a program, whatever the comments say', () => {
    const documents = parseAllDocuments(planYaml(plan)).map((one) => one.toJS() as unknown);
    expect(documents.filter((one) => one !== null)).toEqual([manifest]);
  });

  test('tells ten gaps and how many more there are', () => {
    const text = planYaml(plan);
    expect(text).toContain('# namespace shop: policy is advisory now\n');
    expect(text.match(/^# gap shop/gm)).toHaveLength(10);
    expect(text).toContain('# gap and 2 more\n');
  });

  test('of a namespace that does not enforce says so first', () => {
    const text = planYaml({ ...plan, policy: 'off' });
    expect(text).toContain('# namespace shop: policy is off: the mesh itself refuses nobody yet\n');
  });
});

test('as JSON it is a List with what there is to know beside it', () => {
  const told = JSON.parse(planJson(plan)) as unknown;
  expect(told).toMatchObject({ kind: 'List', items: [manifest], state: 'advisory' });
});

test('as a table it names what would be printed', () => {
  expect(planTable(plan)).toContain('prints    NetworkPolicy weft-ingress\n');
});

test('what is only widened is no finding', () => {
  const widened = { policy: 'shop/a', effect: 'widened', message: '' } as const;
  expect(isFinding({ ...plan, existing: [widened] })).toBe(false);
  expect(isFinding(plan)).toBe(true);
});
