// Door of `kube`: connections to an API server, mirrors of its kinds, and the loops of a writer.
// `Transport` is the seam at which tests put an API server of their own.
export { KubeFailure, kubeReason } from './client.ts';
export type * from './client.ts';
export { connectionOver, resourcePath } from './connection.ts';
export type * from './connection.ts';
export { findSource } from './credentials.ts';
export type * from './credentials.ts';
export { campaign } from './lease.ts';
export type * from './lease.ts';
export { openConnection } from './open-connection.ts';
export { startReflector } from './reflector.ts';
export type * from './reflector.ts';
export type * from './sink.ts';
export type * from './transport.ts';
export { Agent } from './undici.ts';
export { watchCluster } from './watch-cluster.ts';
export type * from './watch-cluster.ts';
export { startWorkQueue } from './work-queue.ts';
export type * from './work-queue.ts';
