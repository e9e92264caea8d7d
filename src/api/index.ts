// Door of `api`: types of the outside world and their parsers.
export type * from './core.ts';
export type * from './object.ts';
export type * from './settings.ts';
export type * from './smi.ts';
export type * from './state.ts';
export { objectKey } from './object.ts';
