// Above which time an answer of a service is slow: the 95th percentile of its recent latencies, in
// two atomic cells that all workers of the proxy share. It steps up a little for each answer that
// takes longer and down a nineteenth of that for each other one, so that it rests where one of
// twenty takes longer (Robbins and Monro 1951, on the logarithm); no histogram is kept, and a
// quiet service has its mark as well. Steps begin large and end at a size that follows a change
// within some hundred answers. A sample that another worker takes at the same moment may be lost.
// Cells of a service's slot: [20] the mark in µs, [21] samples so far.
import type { BudgetPlace } from './retry-budget.ts';

const markCell = 20;
const countCell = 21;
/** Nothing is said before. */
const samplesMin = 100;
const slowShare = 0.05;
const stepMax = 1;
const stepMin = 0.05;
/** The n-th step is this part of n, as the tail of usual latencies asks for. */
const stepStart = 10;
/** Steps have their smallest size by then. */
const samplesMax = Math.max(samplesMin, stepStart / stepMin);
/** Half an hour fits a cell, and no answer is that slow. */
const markMaxUs = 1_800_000_000;

/** The answer of an attempt began after this time. */
export function noteLatency(place: BudgetPlace, latencyMs: number): void {
  const { cells, offset } = place;
  // Slot 0 is nobody's.
  if (offset === 0) return;
  const sampleUs = Math.max(1, Math.round(latencyMs * 1_000));
  const count = Atomics.load(cells, offset + countCell);
  const markUs = Atomics.load(cells, offset + markCell);
  const next = count === 0 ? sampleUs : stepped(markUs, sampleUs, count);
  Atomics.store(cells, offset + markCell, Math.max(1, Math.min(markMaxUs, Math.round(next))));
  if (count < samplesMax) Atomics.store(cells, offset + countCell, count + 1);
}

/** It was given up after this time: that says something only where it was slow already. */
export function noteWaited(place: BudgetPlace, waitedMs: number): void {
  const markMs = slowMarkMs(place);
  if (markMs !== undefined && waitedMs > markMs) noteLatency(place, waitedMs);
}

/** Undefined: too few answers have come yet. */
export function slowMarkMs({ cells, offset }: BudgetPlace): number | undefined {
  if (offset === 0 || Atomics.load(cells, offset + countCell) < samplesMin) return undefined;
  return Atomics.load(cells, offset + markCell) / 1_000;
}

function stepped(markUs: number, sampleUs: number, count: number): number {
  const step = Math.min(stepMax, Math.max(stepMin, stepStart / count));
  return markUs * Math.exp(sampleUs > markUs ? step * (1 - slowShare) : -step * slowShare);
}
