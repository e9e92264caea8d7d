// Entry of dist/worker.js: one data-plane worker thread. Wires the worker's half of a proxy to the
// real clock, network and randomness (A12); loads nothing else (A7).
import { parentPort, workerData } from 'node:worker_threads';
import {
  fastestNetwork,
  fastestTlsNetwork,
  startWorker,
  type ToWorker,
  type WorkerStart,
} from '../proxy/worker.ts';
import { flowDatagrams } from './flow-datagrams.ts';
import { idMakers } from './ids.ts';
import { realRuntime } from './runtime.ts';

if (parentPort === null)
  throw new Error('BUG: worker.js runs as a worker thread of weft proxy only');
const port = parentPort;
// The control thread is the only one that makes workers, with exactly this type.
const start = workerData as WorkerStart;

const { network, isDirect } = await fastestNetwork();
const secure = await fastestTlsNetwork();
const receive = startWorker(start, {
  runtime: realRuntime,
  network,
  secureNetwork: secure.network,
  datagrams: flowDatagrams,
  hasDirectSockets: isDirect && secure.isDirect,
  ids: idMakers(),
  post: (message) => port.postMessage(message),
});
port.on('message', (message: ToWorker) => receive(message));
