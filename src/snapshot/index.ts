// Door of `snapshot`: the types of what travels to workers, how it is encoded, compared, read back
// and taken over.
export type * from './sections.ts';
export type * from './shaping.ts';
export type * from './node-part.ts';
export type * from './peer-part.ts';
export type { AppliedDelta } from './diff.ts';
export type { DecodedSection, SnapshotFailure } from './decode.ts';
export { backendId, endpointId, splitKey } from './sections.ts';
export { buildSnapshot } from './build.ts';
export { decodeSection } from './decode.ts';
export { applyDelta, diffSnapshot } from './diff.ts';
export { applyNodePart, diffNodePart, isSameBinding } from './diff-node-part.ts';
