// Door of `api`: types of the outside world and their parsers.
export type * from './core.ts';
export type * from './object.ts';
export type * from './settings.ts';
export type * from './smi.ts';
export type * from './state.ts';
export { objectKey } from './object.ts';
export { parsers } from './parsers.ts';
export type * from './flags.ts';
export type * from './mesh-settings.ts';
export { environmentName, flagTable, resolveFlags } from './flags.ts';
export { meshSettingsOf, readFlags } from './mesh-settings.ts';
export { isMeshed, isWatchedNamespace } from './adoption.ts';
export { namespaceTable, settingTable } from './defaults.ts';
export {
  namespaceProblems,
  resolveMtls,
  resolvePolicy,
  resolveServiceSettings,
} from './resolve-settings.ts';
export { trafficTypeOf } from './traffic-type.ts';
