// The cells of an endpoint's slot: what all workers of the proxy know of it together. The first
// eight are requests in flight, one per worker, the last eight its open connections; 15 and 17 tell
// at which workers somebody waits (telemetry/slots.ts). Times are wall milliseconds
// modulo 2^32, because workers share no other clock; differences wrap, and a jump of the clock
// makes knowledge old, which harms nothing.

/** Offsets from the first cell of the slot. */
export const endpointCells = {
  /** 0 in · 1 ejected · 2 probed by one request. */
  ejection: 12,
  /** When it may be asked again; of who is in: when it last was out. */
  ejectedUntil: 13,
  /** 1: active checks of it fail; these three are telemetry/health-cells.ts' as well. */
  checkedOut: 19,
  /** Latency, µs (latency.ts); 0 = not measured. */
  estimate: 8,
  /** When it was sampled last, and first. */
  sampled: 9,
  born: 10,
  /** Failures since the last success. */
  consecutive: 11,
  /** How often in a row; the exponent of the back-off. */
  ejections: 14,
  /** Of slot 0, which is nobody's: counts wishes for idle connections, whatever the endpoint. */
  wished: 18,
  /** Of slot 0 as well, one per worker: counts places given back where somebody waits there. */
  bells: 24,
  /** Ten seconds: of each its number, its failures, its attempts; not of slot 0. */
  window: 24,
} as const;

export const windowSeconds = 10;
/** Cells of one second of the window. */
export const windowWidth = 3;

/** Now, as cells have it. */
export function cellTime(wallMs: number): number {
  return Math.floor(wallMs) | 0;
}

/** Milliseconds from one cell time to a later one. */
export function cellAge(now: number, then: number): number {
  return (now - then) | 0;
}
