// Walks over a message body without copying it: given a range of a buffer, it says which bytes are
// body data and where the message ends. Use:
//
//   let at = start;
//   for (;;) {
//     const step = decoder.advance(buffer, at, end);
//     at = decoder.position;
//     if (step === 'data') forward buffer[decoder.dataStart, decoder.dataEnd);  // and go on
//     else if (step === 'end') …the message is complete, buffer[at, end) belongs to the next one
//     else if (step === 'incomplete') …all bytes consumed, wait for more
//     else …decoder.reject says why; nothing after it may be forwarded, nor the message completed
//   }
//
// Ask once before the first byte too (start === end): an empty body is complete at once.
import type { Fields } from './fields.ts';
import type { Framing } from './framing.ts';
import type { HeadLimits } from './limits.ts';
import type { Reject } from './reject.ts';

export type BodyStep = 'data' | 'end' | 'incomplete' | 'reject';

export type BodyDecoder = {
  readonly advance: (buffer: Buffer, start: number, end: number) => BodyStep;
  /** Range of body data after `data`. */
  readonly dataStart: number;
  readonly dataEnd: number;
  /** Index to go on from after any step but `reject`. */
  readonly position: number;
  readonly isComplete: boolean;
  /** Trailer fields of a chunked body that has ended; `undefined` when there were none. */
  readonly trailers: Fields | undefined;
  readonly reject: Reject | undefined;
  /** The peer closed: `end` when that completes the body (until-close), else the message is cut off. */
  readonly close: () => 'end' | 'truncated';
};

/** `headBytes` and `headFields` are what the head already used of the limits. */
export type BodyLimits = {
  readonly limits: HeadLimits;
  readonly headBytes: number;
  readonly headFields: number;
};

export declare function createBodyDecoder(framing: Framing, limits: BodyLimits): BodyDecoder;
