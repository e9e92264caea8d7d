// Entry of dist/worker.js: one data-plane worker thread. Wires the worker's half of a proxy to the
// real clock, network and randomness (A12); loads nothing else (A7).
import { randomBytes, randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { nodeNetwork, startWorker, type ToWorker, type WorkerStart } from '../proxy/worker.ts';
import { realRuntime } from './runtime.ts';

if (parentPort === null)
  throw new Error('BUG: worker.js runs as a worker thread of weft proxy only');
const port = parentPort;
// The control thread is the only one that makes workers, with exactly this type.
const start = workerData as WorkerStart;

const receive = startWorker(start, {
  runtime: realRuntime,
  network: nodeNetwork(),
  ids: {
    requestId: () => randomUUID(),
    // W3C Trace Context §3.2: version, trace id, parent id, not sampled.
    traceparent: () => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`,
  },
  post: (message) => port.postMessage(message),
});
port.on('message', (message: ToWorker) => receive(message));
