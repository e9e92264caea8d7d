// What bounds an HTTP/2 peer (A9), beside the rates of flood-guard.ts: what it may open, send and
// leave unread. Both sides of a session are bound by the same numbers.

export type SessionLimits = {
  /** Streams that a client may have open at the same time; more are refused. */
  readonly streamsMax: number;
  /** What may be received of a stream before it has been passed on. */
  readonly streamWindowBytes: number;
  /** The same for all streams of the connection. */
  readonly connectionWindowBytes: number;
  /** Of the list: names, values and 32 per field; `--max-head-bytes` bounds the same in HTTP/1. */
  readonly listBytesMax: number;
  readonly fieldsMax: number;
  /** A stream that a client resets sooner than that was opened to be reset; 0: none was. */
  readonly youngStreamMs: number;
};

/**
 * A stream's window is what a slow reader can make us hold of it: 256 KiB carry 1 Gbit/s over 2 ms.
 * The connection's is what all readers of one peer together can.
 */
export const defaultSessionLimits: SessionLimits = {
  streamsMax: 1_000,
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 16 * 1024 * 1024,
  listBytesMax: 32 * 1024,
  fieldsMax: 128,
  youngStreamMs: 1_000,
};

/** What every window begins with (RFC 9113 section 6.9.2). */
export const initialWindowBytes = 65_535;
/** RFC 9113 section 6.9.1. */
export const windowBytesMax = 2 ** 31 - 1;
export const lastStreamIdMax = 2 ** 31 - 1;

/** Before a server has said how many streams it takes (RFC 9113 section 6.5.2 recommends it). */
export const streamsBeforeSettings = 100;
/** What we ever open at the same time on one connection; then another one is opened. */
export const ownStreamsMax = 1_000;

/**
 * A block of a list within the limits is hardly longer than the list; CONTINUATION frames beyond
 * that, or many small ones, are a flood (CVE-2024-27316).
 */
export const blockBytesMax = 48 * 1024;
export const continuationsMax = 16;

/** Unsent frames of a connection beyond which streams wait: four full buffers. */
export const unsentBytesMax = 256 * 1024;
/** Unsent answers to PING, SETTINGS and malformed streams: the peer sends and does not read. */
export const unreadBytesMax = 1024 * 1024;

/** How so many of the last streams ended is known, so that late frames are told from wrong ones. */
export const goneStreamsMax = 256;
