// The workloads that splits lead to are known before any request has gone there.
// One backend is no split.
import { expect, test } from 'vitest';
import {
  endpointsSection,
  meshSection,
  nodePart,
  recordsOf,
  routeTo,
  serviceSection,
  splitTo,
  workload,
} from '../../test/support/sections.ts';
import { compileTable } from './compile-table.ts';
import { splitDestinations } from './split-destinations.ts';

test('each backend of a split with two of them is told with its workload', () => {
  const sections = [
    meshSection(),
    serviceSection('shop/web', {
      routes: [splitTo('split shop/web', { 'shop/v1': 1, 'shop/v2': 0 })],
    }),
    serviceSection('shop/alone', { routes: [routeTo('shop/alone')] }),
    endpointsSection('shop/v1', ['10.1.0.1:8080']),
    endpointsSection('shop/v2', ['10.1.0.2:8080']),
    endpointsSection('shop/alone', ['10.1.0.3:8080']),
  ];
  const place = { isLocal: false, nodeName: 'node-b' };
  const binding = { kind: 'workload', ...place, workload: workload('shop/v1') } as const;
  const node = nodePart(new Map([['10.1.0.1', binding]]));
  const table = compileTable(recordsOf(...sections), node);
  expect(splitDestinations(table).map(({ destination }) => destination.workload)).toEqual([
    'Deployment/v1',
    'unknown',
  ]);
});
