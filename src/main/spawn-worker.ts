// Worker threads behind the seam of the fleet (A12). The bundle of the worker lies beside that of
// the program.
import { Worker } from 'node:worker_threads';
import type { SpawnWorker } from '../proxy/index.ts';

export const spawnWorker: SpawnWorker = (start, events) => {
  const worker = new Worker(new URL('worker.js', import.meta.url), {
    workerData: start,
    name: `weft-worker-${start.index}`,
    // A worker inherits no flags that were meant for the control thread.
    execArgv: [],
  });
  let thrown: Error | undefined;
  worker.on('message', events.onMessage);
  worker.on('error', (error) => {
    thrown = error instanceof Error ? error : new Error(String(error));
  });
  worker.on('exit', () => events.onExit(thrown));
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
  };
};
