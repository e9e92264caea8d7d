// The strict incremental parser of HTTP/1.1 response heads from upstream (RFC 9112 section 4; RFC
// 9110 section 15). Same way of working as request-head.ts: consumed bytes are kept, a head makes
// the parser ready for the next one (interim responses), a reject is final.
import type { Fields } from './fields.ts';
import type { ResponseFraming } from './framing.ts';
import type { HeadLimits } from './limits.ts';
import type { Reject } from './reject.ts';

export type HttpResponseHead = {
  readonly version: 10 | 11;
  /** 100 to 599; 101 only when the request asked for the protocol that is named. */
  readonly status: number;
  readonly statusText: string;
  readonly fields: Fields;
  /** `none` for HEAD, 1xx, 204 and 304, whatever the fields say. */
  readonly framing: ResponseFraming;
  /** Content-Length as sent, also where there is no body (HEAD, 304). */
  readonly contentLength: number | undefined;
  /** The upstream connection may be used again once this response is complete. */
  readonly isKeepAlive: boolean;
  /** Names that Connection nominates, lower case. */
  readonly nominated: readonly string[];
  /** Protocol switched to, as sent; only with 101. */
  readonly upgrade: string | undefined;
  readonly bytes: number;
};

export type ResponseHeadResult =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'head'; readonly head: HttpResponseHead; readonly end: number }
  | Reject;

/** What the rules for a response need to know of its request. */
export type AnsweredRequest = { readonly method: string; readonly upgrade: string | undefined };

export declare class ResponseHeadParser {
  constructor(limits: HeadLimits);
  /** Some bytes of a head have been consumed: a close now is a truncated response. */
  get hasPartialHead(): boolean;
  parse(
    buffer: Buffer,
    start: number,
    end: number,
    request: AnsweredRequest,
  ): ResponseHeadResult;
}
