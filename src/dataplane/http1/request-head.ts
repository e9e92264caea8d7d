// The strict incremental parser of HTTP/1.1 request heads (RFC 9112 sections 3, 5, 6; RFC 9110
// sections 5, 7). It holds no socket and no timer: bytes in, a head or a reject out.
//
// The parser keeps what it has consumed: after `incomplete` the given range may be overwritten, and
// the next call continues with the bytes that follow it. One parser serves one connection; after a
// head it is ready for the next one, after a reject it must not be used again.
// Invariant: the outcome does not depend on where the bytes were cut.
import type { RequestHead } from '../../route/index.ts';
import type { Fields } from './fields.ts';
import type { RequestFraming } from './framing.ts';
import type { HeadLimits } from './limits.ts';
import type { Reject } from './reject.ts';

/** A request head, as it will be matched and forwarded. */
export type HttpRequestHead = RequestHead & {
  readonly version: 10 | 11;
  /** What is forwarded: origin-form or `*`; an absolute-form target has lost its authority. */
  readonly target: string;
  /** What follows the first `?` of the target. */
  readonly query: string | undefined;
  /** Host as sent (or the authority of an absolute-form target, which replaces Host). */
  readonly authority: string;
  readonly fields: Fields;
  readonly framing: RequestFraming;
  /** What the client wants after the response (RFC 9112 section 9.3). */
  readonly isKeepAlive: boolean;
  /** The client waits for a 100 before it sends the (non-empty) body. */
  readonly expectsContinue: boolean;
  /** Protocols that the client offers to switch to, as sent, without h2c; only in HTTP/1.1. */
  readonly upgrade: string | undefined;
  /** Names that Connection nominates, lower case: hop-by-hop, never forwarded. */
  readonly nominated: readonly string[];
  /** The path holds %2f or %5c: one segment or two, depending on who reads it (refused under enforce). */
  readonly hasEncodedSlash: boolean;
  /** Max-Forwards of an OPTIONS request; 0 must be answered here (RFC 9110 section 7.6.2). */
  readonly maxForwards: number | undefined;
  /** Bytes of the head; what is left of `headBytesMax` is left for trailers. */
  readonly bytes: number;
};

export type RequestHeadResult =
  /** All given bytes were consumed and kept. */
  | { readonly kind: 'incomplete' }
  /** `end`: index in the given buffer of the first byte behind the head. */
  | { readonly kind: 'head'; readonly head: HttpRequestHead; readonly end: number }
  | Reject;

export type RequestHeadOptions = {
  readonly limits: HeadLimits;
  /** Port of the user's Service that the listener stands for. */
  readonly servicePort: number;
};

export declare class RequestHeadParser {
  constructor(options: RequestHeadOptions);
  /** True while a head has begun and is not complete: silence now is a 408, before it is idleness. */
  get hasPartialHead(): boolean;
  parse(buffer: Buffer, start: number, end: number): RequestHeadResult;
}
