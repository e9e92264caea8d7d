// What a session is given and what it tells: the seam between HTTP/2 and whoever uses it. Servers,
// clients and tunnels all see this and `Http2Stream`, and nothing of frames.
import type { Clock } from '../../lib/clock.ts';
import type { FrameBuffers, SessionTransport } from './frame-writer.ts';
import type { DecodedField } from './hpack-decoder.ts';
import type { SessionLimits } from './limits.ts';
import type { Http2Stream } from './stream.ts';

export type SessionFailure = {
  /** Of RFC 9113 section 7. */
  readonly code: number;
  readonly detail: string;
};

/** Who ended a stream early: the peer, we because of its fault, or the end of the connection. */
export type ResetCause = 'peer' | 'fault' | 'connection';

export type SessionListener<User> = {
  /**
   * A head that is well-formed. To a server: a request has begun, and `stream.user` may be set. To
   * a client: an interim answer, or the final one. `fields` is the same object for the same block.
   */
  headers(stream: Http2Stream<User>, fields: readonly DecodedField[]): void;
  /** A head or trailers beyond the limits; true: it was answered, and the stream is over. */
  tooLarge?(stream: Http2Stream<User>): boolean;
  /** The bytes are overwritten by the next read; `stream.consumed` says that they are passed on. */
  data(stream: Http2Stream<User>, buffer: Buffer, start: number, end: number): void;
  /** The peer has sent all of its message. */
  ended(stream: Http2Stream<User>, trailers: readonly DecodedField[] | undefined): void;
  /**
   * It ended early, and `closed` follows; not told after the user's own `reset`. The code
   * `refusedStream` by the peer: it has not looked at the request (GOAWAY says so as well).
   */
  reset(stream: Http2Stream<User>, code: number, cause: ResetCause): void;
  /** Everything queued has left. */
  drained(stream: Http2Stream<User>): void;
  /** Nothing more will be told of this stream; its place is free. */
  closed(stream: Http2Stream<User>): void;
  /** The peer wants no new streams; those up to `lastStreamId` go on. */
  goAway(lastStreamId: number, code: number): void;
  /** The peer's SETTINGS have come, first or again. */
  settled(): void;
  /** A `ping` has been answered. */
  pingAnswered(): void;
  /** Over: a connection error. GOAWAY has been written; the connection is to be closed. */
  failed(failure: SessionFailure): void;
};

export type SessionOptions<User> = {
  readonly role: 'server' | 'client';
  readonly transport: SessionTransport;
  readonly listener: SessionListener<User>;
  readonly limits: SessionLimits;
  readonly buffers: FrameBuffers;
  readonly clock: Pick<Clock, 'nowMs'>;
};
