// A seeded generator (mulberry32) for simulations, property tests and jitter: one seed, one run.
// Not for secrets.
import type { Random } from './clock.ts';

/** A uniform generator over [0, 1) that is fixed by `seed` (an integer). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A copy of `items` in an order fixed by `random` (Fisher–Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const held = copy[last];
    const moved = copy[other];
    if (held !== undefined && moved !== undefined) {
      copy[last] = moved;
      copy[other] = held;
    }
  }
  return copy;
}
