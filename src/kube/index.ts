// Door of `kube`: connections to an API server, mirrors of its kinds, and the loops of a writer.
export { KubeFailure, kubeReason } from './client.ts';
export type { KubeReason } from './client.ts';
export { connectionOver, resourcePath } from './connection.ts';
export type { Connection, Patch, Query, ResourcePath } from './connection.ts';
export { findSource } from './credentials.ts';
export type { ConnectionSource } from './credentials.ts';
export { campaign } from './lease.ts';
export type { Campaign, CampaignOptions } from './lease.ts';
export { openConnection } from './open-connection.ts';
export { startReflector } from './reflector.ts';
export type { Reflector, ReflectorOptions, ReflectorStatus } from './reflector.ts';
export type { Replacement, Sink } from './sink.ts';
export type { Transport, TransportAnswer, TransportRequest } from './transport.ts';
export { watchCluster } from './watch-cluster.ts';
export type { ClusterWatch, KindStatus, PodScope, WatchClusterOptions } from './watch-cluster.ts';
export { startWorkQueue } from './work-queue.ts';
export type { WorkQueue, WorkQueueOptions } from './work-queue.ts';
