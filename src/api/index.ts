// Door of `api`: types of the outside world and their parsers.
export type * from './core.ts';
export type * from './object.ts';
export type * from './settings.ts';
export type * from './smi.ts';
export type * from './state.ts';
export { objectKey } from './object.ts';
export { parsers } from './parsers.ts';
export { parseDuration } from './duration.ts';
export { parseQuantity, parseSize } from './quantity.ts';
export type * from './flags.ts';
export type * from './mesh-settings.ts';
export { environmentName, flagTable, resolveFlags } from './flags.ts';
export { meshSettingsOf, readFlags } from './mesh-settings.ts';
