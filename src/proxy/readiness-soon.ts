// What /readyz answers while a proxy starts. The kubelet asks once a second at most, so a proxy
// that says "not yet" and is ready a moment later stays out of its Service for up to a second more,
// and its node with it (the proxy is the only one there). Before the first time it is ready it
// therefore keeps the question until it can say yes, for less than the probe's timeout of 2 s.
import type { Runtime } from '../lib/clock.ts';
import type { Readiness } from './readiness.ts';

export type ReadinessQuestion = {
  readonly runtime: Runtime;
  readonly look: () => Readiness;
  /** What has been ready is not waited for: it says at once what is wrong. */
  readonly wasReady: () => boolean;
};

const keptMs = 1_400;
const lookEveryMs = 20;

export async function readinessSoon(question: ReadinessQuestion): Promise<Readiness> {
  const { runtime, look, wasReady } = question;
  const untilMs = runtime.clock.nowMs() + keptMs;
  for (;;) {
    const isStarting = !wasReady();
    const readiness = look();
    if (readiness.isReady || !isStarting || runtime.clock.nowMs() >= untilMs) return readiness;
    await new Promise<void>((resolve) => {
      runtime.timers.after(lookEveryMs, resolve);
    });
  }
}
