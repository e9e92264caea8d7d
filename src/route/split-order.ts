// Weights → a smooth order of turns, compiled once per split. Huffman's tree of two-way choices; at
// each vertex the turns of the right side are spread evenly among those of the left (Bresenham's
// line), and each side counts its own turns. Therefore every window of `period` turns holds each
// backend exactly as often as its weight says, and no backend comes in a clump.
// Invariant: backends without weight are not in the tree.
import type { SplitOrder, SplitVertex } from './types.ts';

/** Larger sums are scaled down: turn × weight has to stay an exact integer (2^26 × 2^26 < 2^53). */
const periodMax = 2 ** 26;

/** A part of the tree while it is built; `side` as in SplitVertex. */
type Part = { readonly side: number; readonly weight: number };

/** The order for `weights`, by position. Never fails: all zero gives period 0. */
export function compileOrder(weights: readonly number[]): SplitOrder {
  const parts: Part[] = [];
  for (const [index, weight] of reduced(weights).entries()) {
    if (weight > 0) parts.push({ side: ~index, weight });
  }
  const vertices: SplitVertex[] = [];
  while (parts.length > 1) {
    // Heaviest first; among equals the earlier backend: the order is a function of the list.
    parts.sort((a, b) => b.weight - a.weight || b.side - a.side);
    const [left, right] = parts.splice(-2);
    if (left === undefined || right === undefined) break;
    const weight = left.weight + right.weight;
    vertices.push({ left: left.side, right: right.side, rightWeight: right.weight, weight });
    parts.push({ side: vertices.length - 1, weight });
  }
  const [top] = parts;
  return { period: top?.weight ?? 0, root: top?.side ?? 0, vertices };
}

/** Whole weights in their lowest terms, with a sum near `periodMax` at most. */
function reduced(weights: readonly number[]): readonly number[] {
  const whole = weights.map((weight) => (weight > 0 ? Math.floor(weight) : 0));
  const total = whole.reduce((sum, weight) => sum + weight, 0);
  const scale = total > periodMax ? periodMax / total : 1;
  // Who has any weight keeps a share, however small.
  const scaled = whole.map((weight) =>
    weight === 0 || scale === 1 ? weight : Math.max(1, Math.floor(weight * scale)),
  );
  const divisor = scaled.reduce(greatestCommonDivisor, 0);
  return divisor > 1 ? scaled.map((weight) => weight / divisor) : scaled;
}

function greatestCommonDivisor(a: number, b: number): number {
  let [larger, smaller] = [a, b];
  while (smaller !== 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}
