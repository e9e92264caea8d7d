// The numbers that bound what datagrams can make a worker do (A9). No state is kept for what is
// refused here, so flows that policy lets through count, and apart those that wait for a verdict;
// what they are bounded by is sockets: each has one of its own towards its pod.

/**
 * Flows of one proxy, all workers together, those of its clients and those that arrive from other
 * nodes. Each takes a port of the machine's ephemeral range,
 * which has 28 232 unless somebody changed it; the rest is left to others.
 */
export const udpFlowsMax = 24_576;

/**
 * The share of one source address in all flows of a worker: a pod that asks DNS from a new port
 * each time replaces its own oldest flows, and nobody else's. Flows that arrive count together by
 * identity and node.
 */
export const flowsPerSourceShare = 1 / 4;

/** How long a flow keeps its place in the order of use before it is moved again. */
export const touchMs = 1_000;

/** No datagram in either direction for so long ends a flow, unless `idle-timeout` is set. */
export const flowIdleMs = 60_000;

/**
 * A flow whose pod has left its Service takes nothing more from its client; answers of the pod to
 * what it got before are still passed on for so long. Resolvers ask again after 5 s.
 */
export const leavingMs = 5_000;

/** Flows of one proxy that only wait for such answers; the oldest has to go for another. */
export const leavingMax = 1_024;

/**
 * Sockets of one proxy whose flows have ended while an answer may be on its way, so that their
 * ports are nobody else's for that time. With all flows and those that leave they are fewer than
 * the ports that there are.
 */
export const restingMax = 2_048;

/**
 * A flow that the pod's node denies, or that nobody took at several pods, drops what comes for so
 * long; then it asks again. Short, because a node may only be late to hear of a pod or a policy.
 */
export const refusedMs = 250;

/**
 * The share of flows that wait for the word of their pod's node, counted apart from those that have
 * it: a flood that is denied there evicts nobody who is allowed. They hold no port here.
 */
export const unacceptedShare = 1 / 8;

/** Pods that a flow's first datagrams are tried at, before they have reached one. */
export const flowAttemptsMax = 3;

/**
 * What waits for a tunnel to be opened, of one flow and of all flows of a worker. A resolver asks
 * all its questions from one port: while a busy node shakes hands, a second of them has to wait.
 * The longest datagram is 64 kB.
 */
export const untunnelledBytesMax = 256 * 1024;
export const untunnelledOfAllMax = 4 * 1024 * 1024;

/** What the memory of one that waits costs beside its bytes. */
export const untunnelledOverhead = 128;

/** Bytes in capsules that a tunnel has not taken; beyond that datagrams are dropped. */
export const tunnelledBytesMax = 256 * 1024;

/**
 * How long the node of the pod keeps a silent flow: the caller's ends it first, by whatever
 * `idle-timeout` says; this is for callers that have gone without a word.
 */
export const arrivedIdleFactor = 2;

/** A pod that ICMP called unreachable is asked last for so long: its slice will follow. */
export const unreachableMs = 3_000;
export const unreachableMax = 1_024;

/** Datagrams that wait until the pod that sent them is told, in all and of one address. */
export const waitingBytesMax = 1024 * 1024;
export const waitingPerSourceMax = 8;

/** Sources that wait at the same time. */
export const waitingSourcesMax = 256;
