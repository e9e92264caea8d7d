// What one object may make of a snapshot (A9). References multiply – ports by backends, rules by
// the matches of their groups – and the API server bounds only the size of each object, so that a
// few hundred kilobytes of YAML could become gigabytes in every proxy. Beyond these numbers the
// rest is left out, which always allows less, and said.

/** Ports of one Service; the largest Services that we know of have some dozens. */
export const portsMax = 512;

/** HTTP matches of one TrafficTarget or TrafficSplit, of all its groups together. */
export const matchesMax = 4_096;

/**
 * Mesh Services for TCP and UDP: as many services can have one port number. Each costs four
 * EndpointSlice writes per replaced proxy, of which Kubernetes makes 20 a second for everybody.
 */
export const placesMax = 256;

/**
 * Ports of one mesh Service. With the longest names its annotation stays below the 256 KiB that an
 * object may have, and what every node is sent when it changes below half a megabyte.
 */
export const placePortsMax = 1_000;
