// Which backend a turn of a split goes to. Pure and allocation-free: the caller counts the turns in
// a live counter, one per split, and gives each turn to one request.
import { assert } from '../lib/assert.ts';
import type { Backend, Split } from './types.ts';

/**
 * The backend of `turn` (any whole number; a counter of 32 bits may wrap, which disturbs the order
 * once). `split.totalWeight` must not be 0: decide refuses such a split.
 */
export function pickBackend(split: Split, turn: number): Backend {
  const { period, root, vertices } = split.order;
  let side = root;
  let turnHere = (turn >>> 0) % period;
  while (side >= 0) {
    const vertex = vertices[side];
    assert(vertex !== undefined, 'a split order points outside itself');
    const rightsBefore = Math.floor((turnHere * vertex.rightWeight) / vertex.weight);
    const rightsAfter = Math.floor(((turnHere + 1) * vertex.rightWeight) / vertex.weight);
    if (rightsAfter > rightsBefore) {
      turnHere = rightsBefore;
      side = vertex.right;
    } else {
      turnHere -= rightsBefore;
      side = vertex.left;
    }
  }
  const picked = split.backends[~side];
  assert(picked !== undefined, 'a split without weight was asked for a backend');
  return picked.backend;
}
