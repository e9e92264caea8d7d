// stub, being written
export type KnownField = number;
export const unknownField: KnownField = 0;
