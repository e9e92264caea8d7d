// What has to be true after every test of the data plane, whatever the test did (A10): nothing is
// open, counted, waiting or held, and no bug was found.
import { expect } from 'vitest';
import type { Harness } from './dataplane-harness.ts';
import { eventually } from './dataplane-sockets.ts';

/** Call it when the clients are gone; closes the data plane and the pods. */
export async function expectNothingLeft(
  harness: Harness,
  pods: readonly { readonly close: () => void }[],
): Promise<void> {
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  const { exchanges, bufferedBytes, lingering } = dataplane.state();
  expect({ exchanges, bufferedBytes, lingering }).toEqual({
    exchanges: 0,
    bufferedBytes: 0,
    lingering: 0,
  });
  expect(harness.inFlight()).toBe(0);
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  for (const pod of pods) pod.close();
  const { deadlines, upstreamOpen, bodyBuffers } = dataplane.state();
  expect({ deadlines, upstreamOpen, bodyBuffers }).toEqual({
    deadlines: 0,
    upstreamOpen: 0,
    bodyBuffers: 0,
  });
}
