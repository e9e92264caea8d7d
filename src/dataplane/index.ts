// Door of `dataplane`: one worker's sockets, from a route table to bytes. What it tells comes
// through the observer; what it needs of clock, chance and network it is given.
export { startDataplane } from './dataplane.ts';
export type * from './dataplane.ts';
export type { IdentityUpdate } from './credentials.ts';
export type { DrainOptions } from './drain.ts';
export { fastestNetwork } from './direct-network.ts';
export type { IdMakers } from './engine.ts';
export type { DataplaneLimits } from './limits.ts';
export type { ListenerState } from './listener.ts';
export { nodeNetwork } from './node-network.ts';
export { silentObserver } from './observer.ts';
export type * from './observer.ts';
export type { Reason } from './refusals.ts';
export type * from './tcp-observer.ts';
export { fastestTlsNetwork, tlsNetwork } from './tls-network.ts';
export type { TunnelOptions, TunnelState } from './tunnels.ts';
export type * from './udp-observer.ts';
