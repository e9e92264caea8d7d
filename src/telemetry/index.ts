// Door of `telemetry` for everybody, workers among them: no packages, only memory and text. What
// drags packages along (pino, prom-client, the admin server) is behind control.ts.
export type * from './access-log.ts';
export type * from './http-meters.ts';
export type * from './log.ts';
export type * from './meter-arena.ts';
export type * from './metric-table.ts';
export type * from './slots.ts';
export {
  AccessLogRing,
  formatAccessLine,
  parseAccessLogMode,
  wantsAccessLine,
} from './access-log.ts';
export { HttpMeters } from './http-meters.ts';
export { silentLog } from './log.ts';
export { UdpMeters } from './udp-meters.ts';
export { createMeterMemory, MeterArena } from './meter-arena.ts';
export {
  createSlotMemory,
  defaultSlotCapacity,
  SlotAllocator,
  SlotView,
  slotWorkersMax,
} from './slots.ts';
