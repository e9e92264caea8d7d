// Waits for a state of the world, with a bound and with what was last seen in the complaint. Apart
// from that of test/kube because a look at a cluster costs 100 ms: it is taken twice a second.

export async function until<T>(
  what: string,
  look: () => Promise<T | undefined>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined) return seen;
      last = undefined;
    } catch (error) {
      // It may not be there yet: told when the time is over.
      last = error;
    }
    if (Date.now() > deadlineMs) {
      const why = last instanceof Error ? `: ${last.message}` : '';
      throw new Error(`not within ${timeoutMs} ms: ${what}${why}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
