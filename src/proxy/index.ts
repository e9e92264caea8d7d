// Door of `proxy`: the control thread's half of a proxy.
// The workers' half is the second door, worker.ts.
export { wantedIdentities } from './identity-plan.ts';
export type { MachineFacts } from './settings.ts';
export { launchProxy, type ProxyPlatform } from './launch-proxy.ts';
export type { OpenDatagrams } from './dns-server.ts';
export type { SpawnWorker } from './worker-fleet.ts';
export { nodeNetwork } from '../dataplane/index.ts';
