// Door of `proxy`: the control thread's half of a proxy.
// The workers' half is the second door, worker.ts.
export type { MachineFacts, ProxySettings } from './settings.ts';
export { proxySettingsOf } from './settings.ts';
export type { OpenDatagrams } from './dns-server.ts';
export type { SpawnWorker, WorkerThread } from './worker-fleet.ts';
export type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
