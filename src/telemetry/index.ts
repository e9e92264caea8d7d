// Door of `telemetry` for everybody, workers among them: no packages, only memory and text. What
// drags packages along (pino, prom-client, the admin server) is behind control.ts.
export { createSlotMemory, defaultSlotCapacity, SlotAllocator, slotWidths, SlotView } from './slots.ts';
export type * from './slots.ts';
export { createMeterMemory, MeterArena } from './meter-arena.ts';
export type { Cell, SeriesDefinition } from './meter-arena.ts';
export { methodLabel } from './metric-table.ts';
export type { LabelsOf, MetricName } from './metric-table.ts';
export {
  AccessLogRing,
  formatAccessLine,
  parseAccessLogMode,
  wantsAccessLine,
} from './access-log.ts';
export type { AccessLogBatch, AccessLogMode, AccessRecord } from './access-log.ts';
export { silentLog } from './log.ts';
export type { Log, LogFields, LogLevel } from './log.ts';
