// Waits for a state of the world, with a bound. It looks again every few milliseconds; no test
// depends on how long a look takes.

export async function until(
  what: string,
  holds: () => boolean | undefined | Promise<boolean | undefined>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while ((await holds()) !== true) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs}ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
