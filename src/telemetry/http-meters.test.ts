// The HTTP series by edge, workload and service: the same series that label sets would find, also
// when the look-up tree has been emptied in between.
import { describe, expect, test } from 'vitest';
import { HttpMeters } from './http-meters.ts';
import { LabelTree } from './label-tree.ts';
import { createMeterMemory, MeterArena } from './meter-arena.ts';
import type { SeriesDefinition } from './meter-arena.ts';

const service = { destination_namespace: 'shop', destination_service: 'web' };
const workload = { ...service, destination_workload: 'Deployment/web' };
const edge = { ...workload, source_namespace: 'shop', source_workload: 'Deployment/front' };

function fixture() {
  const memory = createMeterMemory(1_000);
  const series: SeriesDefinition[] = [];
  const arena = new MeterArena(memory, (definition) => series.push(definition));
  const cells = new Float64Array(memory);
  const valueOf = (name: string) =>
    series.filter((one) => one.name === name).map(({ labels, cell }) => [...labels, cells[cell]]);
  return { http: new HttpMeters(arena, 'http/1.1'), arena, valueOf, cells };
}

describe('HttpMeters', () => {
  test('exchanges are counted by edge, method, status and protocol', () => {
    const { http, valueOf } = fixture();
    http.edge(edge).finished('GET', 200, 0.01);
    http.edge({ ...edge }).finished('GET', 200, 0.02);
    http.edge(edge).finished('BREW', 503, 0.01);
    const labels = ['shop', 'Deployment/front', 'shop', 'Deployment/web', 'web'];
    expect(valueOf('weft_http_requests_total')).toEqual([
      [...labels, 'GET', '200', 'http/1.1', 2],
      [...labels, 'OTHER', '503', 'http/1.1', 1],
    ]);
    expect(valueOf('weft_http_request_duration_seconds')).toHaveLength(1);
  });

  test('the series are those that label sets find', () => {
    const { http, arena, cells } = fixture();
    http.edge(edge).decided('deny', 'SourceNotAllowed');
    http.workload(workload).attempted(502, 0.5);
    http.service(service).retried('started');
    http.service(service).retryBudgetExhausted();
    const policy = { ...edge, action: 'deny', reason: 'SourceNotAllowed' };
    const found = [
      arena.counter('weft_policy_decisions_total', policy),
      arena.counter('weft_http_attempts_total', { ...workload, code: '502' }),
      arena.counter('weft_retries_total', { ...service, outcome: 'started' }),
      arena.counter('weft_retry_budget_exhausted_total', service),
    ];
    expect(found.map((cell) => cells[cell])).toEqual([1, 1, 1, 1]);
  });

  test('what is in flight goes up and down', () => {
    const { http, valueOf } = fixture();
    http.service(service).inFlight(1);
    http.service(service).inFlight(1);
    http.service({ ...service }).inFlight(-1);
    expect(valueOf('weft_http_requests_in_flight')).toEqual([['shop', 'web', 1]]);
  });

  test('names like members of Object, and names that change places, are kept apart', () => {
    const { http, valueOf } = fixture();
    const names = ['constructor', '__proto__', 'web'];
    for (const one of names) {
      for (const other of names) {
        http.service({ destination_namespace: one, destination_service: other }).inFlight(1);
      }
    }
    const values = valueOf('weft_http_requests_in_flight');
    expect(values).toHaveLength(9);
    expect(values.every(([, , value]) => value === 1)).toBe(true);
  });
});

describe('LabelTree', () => {
  test('forgets everything at its limit and goes on', () => {
    const tree = new LabelTree<number>(3);
    for (let index = 0; index < 3; index += 1) tree.set(['a', String(index)], index);
    tree.set(['a', '1'], 10);
    expect(tree.get(['a', '0'])).toBeUndefined();
    expect(tree.get(['a', '1'])).toBe(10);
    expect(tree.get(['b', '1'])).toBeUndefined();
  });
});
