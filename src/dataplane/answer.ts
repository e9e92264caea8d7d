// The way of an answer to the client, whatever HTTP the client speaks: an exchange begins it, hands
// on its pieces, ends it, or gives one of our own. Who the client is decides how that looks on the
// wire: http1-answer.ts, http2-answer.ts. Invariant: once `hasBegun`, nothing may be retried.
import type { ProbeHalves } from './departure-probe.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { AnswerFacts } from './observer.ts';
import type { Reason } from './refusals.ts';
import type { RequestBody } from './request-body.ts';

export type OwnAnswer = {
  readonly status: number;
  readonly reason: Reason | undefined;
  readonly text: string;
  readonly closes: boolean;
  /** The pod got nothing of the request. */
  readonly isUnsent: boolean;
  /** When asking again makes sense (Retry-After); absent: nobody knows. */
  readonly retryAfterS?: number | undefined;
};

export type Answer = AnswerFacts & {
  /** 0 until an answer begins. */
  readonly status: number;
  readonly bytes: number;
  readonly hasBegun: boolean;
  /** A 1xx went out: that is a byte of the answer, too. */
  readonly hasInterim: boolean;
  /** The client's connection ends with this answer, and has been told so. */
  readonly closes: boolean;
  /** What may be written now and means nothing; undefined when there is no such thing. */
  readonly probeHalves: ProbeHalves | undefined;
  /** Whether the client's connection ends with an answer of our own. */
  closesAfterOwn(body: RequestBody): boolean;
  /** Whether it ends with an answer that begins before the request is complete, or at all. */
  closesAfterAnswer(body: RequestBody): boolean;
  interim(head: HttpResponseHead): void;
  begin(head: HttpResponseHead, closes: boolean): void;
  data(buffer: Buffer, start: number, end: number): void;
  end(trailers: Fields | undefined): void;
  /** False: the client has to take what it got before more is read from upstream. */
  flush(): boolean;
  /** A whole answer of our own. */
  own(answer: OwnAnswer): void;
  /** What has begun will not be completed; the client is cut off unless it can be told. */
  breakOff(reason: Reason): void;
  /** What waited for the client has gone, or nobody waits any more. Idempotent. */
  clearWaiting(): void;
};
