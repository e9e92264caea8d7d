// What V8 prints of its collections, as Node 20 and 24 print it, is read right: the figures of the
// bench stand on it.
import { expect, test } from 'vitest';
import { busiestOf } from './allocation.ts';

const log = [
  '{"level":"info","message":"worker started"}',
  '[1:0x10e9] 112 ms: Scavenge 3.8 (4.0) -> 3.4 (5.0) MB, 0.94 / 0.00 ms  (average mu = 1.000) x;',
  '[1:0x17ae] 257 ms: Scavenge 8.0 (9.8) -> 4.0 (6.8) MB, pooled: 0 MB, 1.50 / 0.00 ms  (mu) x;',
  '[1:0x17ae] 301 ms: Scavenge 7.0 (9.8) -> 5.0 (6.8) MB, pooled: 2 MB, 0.25 / 0.00 ms  (mu) x;',
  '[1:0x17ae] 309 ms: Mark-Compact (reduce) 6.0 (9.8) -> 2.0 (6.8) MB, 4.25 / 0.00 ms  (mu) x;',
].join('\n');

test('allocation is what came between collections, of the thread that collects most', () => {
  const megabyte = 1024 * 1024;
  expect(busiestOf(log)).toEqual({ count: 3, allocatedBytes: 4 * megabyte, pausedMs: 6 });
});

test('a log without collections is none', () => {
  expect(busiestOf('ready')).toEqual({ count: 0, allocatedBytes: 0, pausedMs: 0 });
});
