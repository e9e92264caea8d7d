// Services that say nothing of their own share what their Namespace says: what is wrong with it is
// told of the Namespace, and the same whichever of them is built first.
import { expect, test } from 'vitest';
import { namespaceOf, serviceOf, settingsOf, stateOf } from '../../test/support/builders.ts';
import type { Service } from '../api/index.ts';
import { buildTopology } from './build.ts';

function bare(name: string): Service {
  const service = serviceOf(name);
  return { ...service, meta: { ...service.meta, annotations: new Map(), labels: new Map() } };
}

test('what is wrong with a Namespace is told of it alone, in whatever order Services come', () => {
  const annotations = { 'weft.dev/scheme': 'https', 'weft.dev/tls-verify': 'configmap/roots' };
  const namespace = namespaceOf('shop', annotations);
  const [first, second] = [bare('shop/a'), bare('shop/b')];
  const one = stateOf(namespace, first);
  const two = stateOf(namespace, first, second);
  const fresh = buildTopology(two, settingsOf());
  const grown = buildTopology(two, settingsOf(), buildTopology(one, settingsOf()).value);
  expect(fresh.problems.map(({ kind, name, reason }) => [kind, name, reason])).toEqual([
    ['Namespace', 'shop', 'UnsupportedField'],
  ]);
  expect(grown.problems).toEqual(fresh.problems);
});
