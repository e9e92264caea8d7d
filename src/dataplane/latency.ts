// The arithmetic of balancing by latency: how a measured one moves an estimate (peak-EWMA as in
// Finagle: worse at once, better slowly), and what an endpoint counts for. Pure; the estimates are
// in cells that all workers share (endpoint-load.ts).

/** Memory of an estimate. */
const decayMs = 10_000;
/** What an endpoint that nobody has measured yet counts for beside its first request. */
const unknownUs = 30_000;
/** Differences below it are noise of a busy node: an even spread is worth more. */
const noiseUs = 4_000;
/** Largest estimate; keeps every load a small integer. */
const estimateMaxUs = 300_000_000;
const loadMax = 0x3fff_ffff;
/** A young endpoint's part grows over this time, from a tenth (caches, compilers, pools). */
const slowStartMs = 10_000;
const slowStartFactorMax = 10;
/** The estimate after a sample; both in microseconds, 0 = none yet. */
export function sampled(estimateUs: number, ageMs: number, sampleUs: number): number {
  const sample = Math.min(estimateMaxUs, Math.max(1, Math.round(sampleUs)));
  const decayed = decayedUs(estimateUs, ageMs);
  if (estimateUs === 0 || sample > decayed) return sample;
  const weight = 1 - Math.exp(-Math.max(0, ageMs) / decayMs);
  return Math.max(1, Math.round(estimateUs * (1 - weight) + sample * weight));
}

/** What is left of an estimate: who was slow is asked again some day. */
export function decayedUs(estimateUs: number, ageMs: number): number {
  return ageMs <= 0 ? estimateUs : estimateUs * Math.exp(-ageMs / decayMs);
}

export type EndpointMeasure = {
  /** 0: nobody has measured it. */
  readonly estimateUs: number;
  /** Since the last sample, and since the first one. */
  readonly sampleAgeMs: number;
  readonly ageMs: number;
  readonly inFlight: number;
};

/** Peak-EWMA × (in flight + 1), in steps of two: less is better. */
export function ewmaLoad(measure: EndpointMeasure): number {
  const { estimateUs, sampleAgeMs, ageMs, inFlight } = measure;
  // One request finds out; the others do not wait for it.
  if (estimateUs === 0) return inFlight === 0 ? 0 : atMost(unknownUs * (inFlight + 1));
  const part = (inFlight + 1) * slowStartFactor(ageMs);
  if (estimateUs <= noiseUs) return atMost(noiseUs * part);
  const steps = Math.ceil(Math.log2(decayedUs(estimateUs, sampleAgeMs) / noiseUs));
  return atMost(noiseUs * 2 ** Math.max(0, steps) * part);
}

/** 10 for a new endpoint, 1 after the slow start. */
export function slowStartFactor(ageMs: number): number {
  if (ageMs >= slowStartMs || ageMs < 0) return 1;
  return Math.min(slowStartFactorMax, slowStartMs / Math.max(1, ageMs));
}

function atMost(load: number): number {
  return load >= loadMax ? loadMax : Math.round(load);
}
