// Door of `api`: types of the outside world, their parsers, and everything that people may set.
// Parsers are in one table (`parsers`); the other files pass their types on to the few named here.
export type * from './mesh-settings.ts';
export type * from './schema-validate.ts';
export type * from './state.ts';
export { isMeshed, isWatchedNamespace } from './adoption.ts';
export { meshLabel, settingTable } from './defaults.ts';
export { flagTable } from './flag-table.ts';
export { describeFlag, flagsNotBuilt, resolveFlags } from './flags.ts';
export { meshSettingsOf, readFlags } from './mesh-settings.ts';
export { proxyObstacleOf } from './node-platform.ts';
export { readNetworkPolicy } from './network-policy.ts';
export { parsers } from './parsers.ts';
export { resolveNamespace, resolveServiceSettings } from './resolve-settings.ts';
export { structuralSchemas } from './structural.ts';
export { trafficTypeOf } from './traffic-type.ts';
