// One worker of several that share their live numbers, as a thread: the data plane of the harness,
// started by worker-threads.ts. It tells where it listens, and what it counts when it is asked.
import { parentPort, workerData } from 'node:worker_threads';
import { startHarness } from './dataplane-harness.ts';
import type { HarnessOptions } from './dataplane-harness.ts';

// Given by worker-threads.ts, which has the type.
const { dataplane, port, bugs } = await startHarness(workerData as HarnessOptions);

parentPort?.on('message', () => {
  const { exchanges, upstreamOpen } = dataplane.state();
  parentPort?.postMessage({ exchanges, upstreamOpen, bugs: bugs.map(String) });
});
parentPort?.postMessage({ port });
