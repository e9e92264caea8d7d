// Retry-After (RFC 9110 section 10.2.3): seconds, or a date. What is no such value asks for
// nothing; the obsolete date without a zone is read as none, because it would be read in ours.

/** Longer than that nobody is waited for, and nobody counts as slow. */
export const retryAfterMaxMs = 300_000;

const dateLengthMax = 40;

/** How long an endpoint asks to be left alone; 0: it does not. */
export function retryAfterMs(said: string | undefined, wallMs: number): number {
  if (said === undefined) return 0;
  if (/^[0-9]{1,9}$/.test(said)) return Number(said) * 1_000;
  if (said.length > dateLengthMax || !/^[A-Z][a-z]{2}.* GMT$/.test(said)) return 0;
  const untilMs = Date.parse(said);
  return Number.isNaN(untilMs) ? 0 : Math.max(0, untilMs - wallMs);
}
