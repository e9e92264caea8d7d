// What one object may make of a snapshot (A9). References multiply – ports by backends, rules by
// the matches of their groups – and the API server bounds only the size of each object, so that a
// few hundred kilobytes of YAML could become gigabytes in every proxy. Beyond these numbers the
// rest is left out, which always allows less, and said.

/** Ports of one Service; the largest Services that we know of have some dozens. */
export const portsMax = 256;

/** HTTP matches of one TrafficTarget or TrafficSplit, of all its groups together. */
export const matchesMax = 4_096;
