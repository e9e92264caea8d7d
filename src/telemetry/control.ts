// Second door of `telemetry`, for control threads only: what drags packages along (pino,
// prom-client) or serves pages. Workers load index.ts alone.
export { launchLog } from './launch-log.ts';
export { createLog } from './pino-log.ts';
export type { LogOptions } from './pino-log.ts';
export { createRegistry } from './registry.ts';
export type { MeterRegistry, MetricsPage, RegistryOptions, Sample } from './registry.ts';
export { jsonAnswer, startAdminServer, textAnswer } from './admin-server.ts';
export type {
  AdminAnswer,
  AdminRequest,
  AdminRoute,
  AdminServer,
  AdminServerOptions,
} from './admin-server.ts';
