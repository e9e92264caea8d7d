// The JSONPath of printer columns: what it reads, and that everything else selects nothing.
// Which of several values a column shows is a matter of columns.ts.
import { expect, test } from 'vitest';
import type { Json } from './json.ts';
import { pathReader } from './json-path.ts';

const root: Json = {
  metadata: { name: 'x', annotations: { 'a.dev/b': 'note' } },
  spec: {
    list: [
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ],
    nested: [[1, 2], [3]],
  },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Other', status: 'False' },
    ],
  },
};

const readings: readonly (readonly [string, readonly Json[]])[] = [
  ['.metadata.name', ['x']],
  ['{.metadata.name}', ['x']],
  ['$.metadata.name', ['x']],
  ['.spec.list[*].name', ['a', 'b']],
  ['.spec.list[1].port', [2]],
  ['.spec.nested[0]', [[1, 2]]],
  [
    '.spec.list',
    [
      [
        { name: 'a', port: 1 },
        { name: 'b', port: 2 },
      ],
    ],
  ],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type=='Other')].status", ['False']],
  [".metadata.annotations['a.dev/b']", ['note']],
  ['.metadata.annotations.a\\.dev/b', ['note']],
  ['.none.at.all', []],
  ['.spec.list[9]', []],
  ['..name', ['x', 'a', 'b']],
  ['.spec[', []],
  ['.constructor', []],
];

test.each(readings)('%s', (path, values) => {
  expect(pathReader(path)(root)).toEqual(values);
});
