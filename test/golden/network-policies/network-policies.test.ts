// Runs the golden cases of `weft policy networkpolicies`: objects as YAML in, whether a namespace
// is enforced, what is said of the policies that are there, and what is printed out. What is
// printed, applied, has to make the namespace enforced wherever nothing else leaves a gap.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import { parsers, readNetworkPolicy } from '../../../src/api/index.ts';
import {
  backendsOf,
  joinView,
  namespaceOf,
  placeOf,
} from '../../../src/cli/policy/policy-objects.ts';
import { gapText } from '../../../src/cli/policy/enforcement.ts';
import { planPolicies } from '../../../src/cli/policy/network-policies.ts';
import type { PolicyView } from '../../../src/cli/policy/policy-view.ts';
import { settingsOf } from '../../support/builders.ts';
import { readCases } from '../../support/golden-file.ts';

const text = readFileSync(new URL('cases.md', import.meta.url), 'utf8');
const cases = readCases(text);
/** What each case is put on top of. */
const base = cases[0]?.blocks.get('cluster') ?? '';
const namespace = 'vault';

type Raw = { readonly kind?: string };

function objectsIn(yaml: string): readonly Raw[] {
  return parseAllDocuments(yaml).map((document) => document.toJS() as Raw);
}

function viewOf(objects: readonly Raw[]): PolicyView {
  const of = (kind: string): readonly Raw[] => objects.filter((one) => one.kind === kind);
  return joinView(settingsOf({}), {
    namespaces: of('Namespace').map(namespaceOf),
    places: of('Pod').map(placeOf),
    nodes: of('Node').map((one) => parsers.Node(one).value),
    services: of('Service').map((one) => parsers.Service(one).value),
    backends: of('EndpointSlice').flatMap(backendsOf),
    policies: of('NetworkPolicy').map(readNetworkPolicy),
  });
}

function lines(block: string | undefined): readonly string[] {
  return (block ?? '').split('\n').filter((line) => line !== '');
}

describe('network policies', () => {
  test.each(cases)('$title', ({ blocks }) => {
    const isBase = blocks.get('cluster') === base;
    const more = isBase ? '' : `---\n${blocks.get('cluster') ?? ''}`;
    const objects = objectsIn(`${base}${more}`);
    const view = viewOf(objects);
    const plan = planPolicies(view, namespace);
    expect([plan.state, ...plan.gaps.map(gapText)]).toEqual(lines(blocks.get('state')));
    const existing = plan.existing.map(
      ({ policy, effect, message }) => `${effect} ${policy}: ${message}`,
    );
    expect(existing).toEqual(lines(blocks.get('existing')));
    const printed = blocks.get('printed');
    if (printed !== undefined) expect(plan.manifests).toEqual(objectsIn(printed));

    // Applied, it leaves those gaps alone that it cannot close, and prints the same again.
    const names = new Set(plan.manifests.map((one) => JSON.stringify(one['metadata'])));
    const others = objects.filter(
      (one) => !names.has(JSON.stringify((one as Record<string, unknown>)['metadata'])),
    );
    const applied = viewOf([...others, ...plan.manifests]);
    const after = planPolicies(applied, namespace);
    expect([after.state, ...after.gaps.map(gapText)]).toEqual(lines(blocks.get('applied')));
    expect(after.manifests).toEqual(plan.manifests);
  });

  test('the same objects in another order are judged alike', () => {
    for (const { blocks } of cases) {
      const objects = objectsIn(`${base}---\n${blocks.get('cluster') ?? ''}`);
      const turned = planPolicies(viewOf(objects.toReversed()), namespace);
      expect(turned).toEqual(planPolicies(viewOf(objects), namespace));
    }
  });
});
