// Durations as people write them in annotations: `250ms`, `5s`, `1m30s`, `1h`, `1.5s` (Go's syntax
// without its sub-millisecond units and signs). The result is whole milliseconds.

/** Timers of the platform hold 2^31 ms; a day is more than any request waits. */
const durationMaxMs = 24 * 60 * 60 * 1000;

const unitMs: ReadonlyMap<string, number> = new Map([
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]);

/** Milliseconds, or `undefined` when the text is no duration of at most a day. `0s` is 0. */
export function parseDuration(text: string): number | undefined {
  if (text.length > 32 || !/^(?:[0-9]+(?:\.[0-9]+)?(?:ms|h|m|s))+$/.test(text)) return undefined;
  let totalMs = 0;
  let previousMs = Number.POSITIVE_INFINITY;
  for (const [, amount = '', unit = ''] of text.matchAll(/([0-9.]+)(ms|h|m|s)/g)) {
    const eachMs = unitMs.get(unit) ?? 0;
    // `5s1h` and `5s5s` are typing errors more often than meant.
    if (eachMs >= previousMs) return undefined;
    previousMs = eachMs;
    totalMs += Number(amount) * eachMs;
  }
  const roundedMs = Math.round(totalMs);
  return roundedMs <= durationMaxMs ? roundedMs : undefined;
}

/** A percentage `20` or `20%` between 0 and 100, decimals allowed. */
export function parsePercent(text: string): number | undefined {
  if (!/^[0-9]{1,3}(?:\.[0-9]{1,6})?%?$/.test(text)) return undefined;
  const percent = Number(text.replace('%', ''));
  return percent <= 100 ? percent : undefined;
}
