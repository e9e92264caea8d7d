// Assertions about our own code. A violated assertion is a bug of ours, never a user's mistake:
// callers at a process edge count it (`weft_bugs_total`) or exit.

/** Throws an Error whose message starts with `BUG:` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`BUG: ${message}`);
}

/** Ends an exhaustive switch; the compiler proves that it is unreachable. */
export function assertNever(value: never): never {
  throw new Error(`BUG: unexpected variant ${JSON.stringify(value)}`);
}
