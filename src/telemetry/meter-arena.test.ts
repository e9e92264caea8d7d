// Counting in shared memory: one series per set of labels, buckets, and the
// limit on series.
import { describe, expect, test } from 'vitest';
import { createMeterMemory, MeterArena } from './meter-arena.ts';
import type { SeriesDefinition } from './meter-arena.ts';
import { bucketBounds, histogramCells, methodLabel } from './metric-table.ts';

const destination = {
  destination_namespace: 'shop',
  destination_workload: 'Deployment/web',
  destination_service: 'web',
};
const code = (text: string) => ({ ...destination, code: text });

function fixture(seriesMax = 10) {
  const memory = createMeterMemory(seriesMax);
  const announced: SeriesDefinition[] = [];
  const arena = new MeterArena(memory, (definition) => announced.push(definition));
  const cells = new Float64Array(memory);
  return { arena, announced, cells };
}

describe('MeterArena', () => {
  test('equal labels are one series, announced once', () => {
    const { arena, announced, cells } = fixture();
    const first = arena.counter('weft_http_attempts_total', code('200'));
    expect(arena.counter('weft_http_attempts_total', code('200'))).toBe(first);
    expect(arena.counter('weft_http_attempts_total', code('503'))).not.toBe(first);
    arena.add(first, 2);
    arena.add(first, 1);
    expect(cells[first]).toBe(3);
    const name = 'weft_http_attempts_total';
    expect(announced.filter((series) => series.name === name)).toEqual([
      { name, labels: ['shop', 'Deployment/web', 'web', '200'], cell: first },
      expect.objectContaining({ labels: ['shop', 'Deployment/web', 'web', '503'] }),
    ]);
  });

  test('a duration falls into the first bucket that is not below it', () => {
    const { arena, cells } = fixture();
    const cell = arena.histogram('weft_http_attempt_duration_seconds', destination);
    for (const bound of bucketBounds) arena.observe(cell, bound);
    arena.observe(cell, 11);
    arena.observe(cell, 0);
    arena.observe(cell, -1);
    const counts = [...cells.subarray(cell, cell + histogramCells - 1)];
    expect(counts).toEqual([3, ...new Array<number>(bucketBounds.length).fill(1)]);
    const sum = bucketBounds.reduce((total, bound) => total + bound, 11);
    expect(cells[cell + histogramCells - 1]).toBeCloseTo(sum, 9);
  });

  test('past the limit counts go to one overflow series, and are counted', () => {
    const { arena, announced, cells } = fixture(3);
    for (let index = 0; index < 100; index += 1) {
      arena.add(arena.counter('weft_http_attempts_total', code(String(index))), 1);
    }
    const series = announced.filter(({ name }) => name === 'weft_http_attempts_total');
    expect(series.map(({ labels }) => labels[3])).toEqual(['0', '1', 'overflow']);
    expect(series.map(({ cell }) => cells[cell])).toEqual([1, 1, 98]);
    const dropped = announced.find(({ name }) => name === 'weft_metric_series_dropped_total');
    expect(cells[dropped?.cell ?? -1]).toBe(98);
  });

  test('any mix of series up to the limit has room', () => {
    const { arena } = fixture(50);
    for (let index = 0; index < 200; index += 1) {
      const labels = { ...destination, destination_service: String(index) };
      arena.observe(arena.histogram('weft_http_attempt_duration_seconds', labels), 1);
      arena.gauge('weft_problems', { kind: 'Service', reason: String(index) });
    }
  });

  test('labels named like members of Object are series like others', () => {
    const { arena, cells } = fixture();
    const cell = arena.counter('weft_watch_relists_total', { kind: 'constructor' });
    arena.add(cell, 1);
    expect(cells[arena.counter('weft_watch_relists_total', { kind: 'constructor' })]).toBe(1);
    expect(arena.counter('weft_watch_relists_total', { kind: '__proto__' })).not.toBe(cell);
  });
});

test('a method that a client made up does not become a label', () => {
  expect(methodLabel('GET')).toBe('GET');
  expect(methodLabel('get')).toBe('OTHER');
  expect(methodLabel('X-RANDOM-17')).toBe('OTHER');
});
