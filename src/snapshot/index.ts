// Door of `snapshot`.
export type * from './sections.ts';
export type * from './node-part.ts';
export { backendId } from './sections.ts';
