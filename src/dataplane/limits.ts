// The numbers that bound what a client or a pod can make a worker do (A9). The defaults that users
// may change come from the flags of `weft proxy` and are given by the caller; the constants below
// are ours alone.

/** Settings of the worker, all resolved: the data plane knows no default of theirs. */
export type DataplaneLimits = {
  readonly headBytesMax: number;
  readonly targetBytesMax: number;
  readonly fieldsMax: number;
  readonly pipelinedMax: number;
  /** Open streams of one HTTP/2 connection of a client. */
  readonly streamsMax: number;
  readonly connectionsMax: number;
  readonly requestBodyBytesMax: number | undefined;
  readonly bufferedBytesMax: number;
  readonly headTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly connectTimeoutMs: number;
};

/** A request body up to this size is kept, so that the request can be sent again. */
export const replayBytesMax = 64 * 1024;

/**
 * After a refusal the rest of the request's body is read and dropped up to this size, so that the
 * connection stays usable; a longer one costs the client its connection.
 */
export const discardBytesMax = 64 * 1024;

/**
 * A pipelined request waits as bytes, unparsed, because its turn decides which table it sees. This
 * is the smallest size that one is assumed to have when `pipelinedMax` becomes bytes.
 */
export const pipelinedRequestBytes = 512;

/** Own entries in Via at which a request is taken for a loop (contract §4). */
export const viaEntriesMax = 8;

/** How often a connection that is to close is asked whether its client has read the last answer. */
export const lingerMs = 2_000;

/** Connections that linger at the same time; more are cut. */
export const lingeringMax = 1_024;

/**
 * Idle upstream connections kept for one endpoint. Fewer than are busy at once would mean to open
 * and close one for every second request; newest first, so that what a burst leaves ages out.
 */
export const idlePerEndpointMax = 4096;
/** How long they are kept: most servers wait longer. */
export const upstreamIdleMs = 30_000;
/** How long a pod may take to end its side of one that another connection is to replace. */
export const partingMs = 250;

/** Below this a queue of unsent bytes counts as sent when the next pipelined request starts. */
export const unsentBytesMax = 64 * 1024;

/** While draining, a new connection without a request is left open for so long. */
export const firstRequestMs = 1_000;

/** A tunnel that is silent for so long is asked for by the kernel (upstream connections always). */
export const tunnelKeepAliveMs = 30_000;

/**
 * A tunnel that was opened and not needed is kept for so long. Builds before this one close theirs
 * after 10 s without a request.
 */
export const unusedTunnelMs = 5_000;

/**
 * How long the side that accepted a tunnel waits for a request, whatever users' time-outs are: well
 * beyond the time for which the other side keeps it (`upstreamIdleMs`), so that it is always the
 * one who sends that ends it, and nothing is sent into a connection that is being closed.
 */
export const arrivedIdleMs = 120_000;

/** What the fields of a tunnel add to a head that was within its limits. */
export const arrivedHeadBytesMore = 2 * 1024;
export const arrivedFieldsMore = 16;

/** When a root goes: what is under it leaves within the first time and is cut after the second. */
export const rootSpreadMs = 20_000;
export const rootGoneMs = 30_000;

/** A tunnel without a request for so long ends with a drain: its peer has had time to leave. */
export const idleTunnelMs = 2_000;

/** How often a client that is not read from is asked whether it is still there. */
export const pausedLookMs = 500;

/** Between the two GOAWAYs of a drain: a round trip, and the requests that were on their way. */
export const leaveNoticeMs = 1_000;

/**
 * Of all answers that one client of HTTP/2 has asked for and does not take: a hundred streams, as
 * many as clients open, with a long read each. Beyond it the newest streams are reset.
 */
export const clientUnsentBytesMax = 32 * 1024 * 1024;
