// The one problem that names nodes on which no proxy can run: the same for any order of objects,
// and never too long for an Event.
import { expect, test } from 'vitest';
import { nodeOf } from '../../test/support/builders.ts';
import type { Node } from '../api/index.ts';
import { nodesWithoutProxy } from './nodes-without-proxy.ts';

function problemsOf(nodes: readonly Node[]) {
  const map = new Map(nodes.map((node) => [node.meta.name, node]));
  return nodesWithoutProxy({ nodes: map }, { meshNamespace: 'weft-system' });
}

function windows(name: string): Node {
  return { ...nodeOf(name, []), proxyObstacle: 'it is windows/amd64' };
}

test('no problem where every node can run one', () => {
  expect(problemsOf([nodeOf('node-1', [])])).toEqual([]);
});

test('one problem of the DaemonSet names all of them, in any order of the objects', () => {
  const problems = problemsOf([windows('win-2'), nodeOf('node-1', []), windows('win-1')]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatchObject({
    reason: 'NodeWithoutProxy',
    kind: 'DaemonSet',
    namespace: 'weft-system',
    name: 'weft-proxy',
  });
  expect(problems[0]?.message).toContain(
    'run on win-1 (it is windows/amd64), win-2 (it is windows/amd64); pods there',
  );
  expect(problemsOf([windows('win-1'), windows('win-2'), nodeOf('node-1', [])])).toEqual(problems);
});

test('hundreds of them still fit an Event', () => {
  const many = Array.from({ length: 300 }, (_, at) => windows(`${'w'.repeat(60)}-${100 + at}`));
  const [problem] = problemsOf(many);
  expect(problem?.message).toContain('and 290 more');
  expect(Buffer.byteLength(problem?.message ?? '')).toBeLessThan(1_200);
});
