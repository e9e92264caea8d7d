// Who serves which UDP port: always one living worker, and no move of a port without need, because
// a move costs the flows of the port.
import { describe, expect, test } from 'vitest';
import { ownsUdp, shareUdp } from './udp-owners.ts';

const ports = Array.from({ length: 200 }, (_, index) => 20_000 + index);

describe('shares', () => {
  test.each([1, 2, 3, 8])('of %i workers are even, and each port has one owner', (count) => {
    const workers = Array.from({ length: count }, (_, index) => index);
    const owners = shareUdp([], workers);
    for (const port of ports) {
      expect(workers.filter((worker) => ownsUdp(owners, worker)(port))).toHaveLength(1);
    }
    const sizes = workers.map((worker) => owners.filter((one) => one === worker).length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  });

  test('of the dead are spread over the living; nobody else’s move', () => {
    const before = shareUdp([], [0, 1, 2, 3]);
    const after = shareUdp(before, [0, 1, 3]);
    for (const [share, owner] of before.entries()) {
      if (owner !== 2) expect(after[share]).toBe(owner);
    }
    expect(after.includes(2)).toBe(false);
    expect(new Set(after.filter((_, share) => before[share] === 2)).size).toBe(3);
  });

  test('stay where they are when somebody comes back', () => {
    const alone = shareUdp(shareUdp([], [0, 1]), [1]);
    expect(shareUdp(alone, [0, 1])).toEqual(alone);
  });

  test('of nobody are served by nobody', () => {
    expect(shareUdp([], [])).toEqual([]);
    expect(ports.some(ownsUdp([], 0))).toBe(false);
  });
});
