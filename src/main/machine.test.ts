// What this program thinks of the machine: the versions of Node that can share a port, and facts
// that any machine has.
import { expect, test } from 'vitest';
import { hasReusePort, machineFacts } from './machine.ts';

test.each([
  ['20.19.0', false],
  ['22.11.0', false],
  ['22.12.0', true],
  ['22.22.1', true],
  ['23.0.0', false],
  ['23.1.0', true],
  ['24.0.0', true],
])('Node %s can share a port: %s', (version, expected) => {
  expect(hasReusePort(version)).toBe(expected);
});

test('a machine has some CPU, and a limit of memory is a number of bytes', () => {
  const { cpus, memoryLimitBytes } = machineFacts();
  expect(cpus).toBeGreaterThan(0);
  expect(Number.isFinite(cpus)).toBe(true);
  expect(memoryLimitBytes ?? 1).toBeGreaterThan(0);
  expect(memoryLimitBytes ?? 0).toBeLessThan(2 ** 60);
});
