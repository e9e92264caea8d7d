// Walks over a message body without copying it: given a range of a buffer, it says which bytes are
// body data and where the message ends. Call `advance(buffer, at, end)` in a loop, going on from
// `position`, until it says something other than `data`:
//   data: forward buffer[dataStart, dataEnd), then go on
//   incomplete: every byte is consumed, wait for more
//   end: the message is complete, buffer[position, end) belongs to the next one
//   reject: `reject` says why; the message must never be completed for its receiver
// Ask once before the first body byte too (at === end): an empty body is complete at once.
import { ChunkedDecoder } from './chunked-decoder.ts';
import type { Fields } from './fields.ts';
import type { Framing } from './framing.ts';
import type { HeadLimits } from './limits.ts';
import type { Reject } from './reject.ts';

export type BodyStep = 'data' | 'end' | 'incomplete' | 'reject';

export type BodyDecoder = {
  readonly advance: (buffer: Buffer, start: number, end: number) => BodyStep;
  /** Range of body data after `data`; never empty. */
  readonly dataStart: number;
  readonly dataEnd: number;
  /** Index to go on from after any step but `reject`. */
  readonly position: number;
  readonly isComplete: boolean;
  /** Trailer fields of a chunked body that has ended; `undefined` when there were none. */
  readonly trailers: Fields | undefined;
  readonly reject: Reject | undefined;
  /** The peer closed: `end` when the body is complete with that, else the message is cut off. */
  readonly close: () => 'end' | 'truncated';
};

/** What the head already used of the limits that trailers share with it. */
export type BodyLimits = {
  readonly limits: HeadLimits;
  readonly headBytes: number;
  readonly headFields: number;
};

export function createBodyDecoder(framing: Framing, used: BodyLimits): BodyDecoder {
  switch (framing.kind) {
    case 'none':
      return new CountedDecoder(0);
    case 'length':
      return new CountedDecoder(framing.length);
    case 'until-close':
      return new CountedDecoder(undefined);
    case 'chunked':
      return new ChunkedDecoder(used);
  }
}

/** A body of so many bytes, or of all bytes until the connection closes. */
class CountedDecoder implements BodyDecoder {
  readonly trailers = undefined;
  readonly reject = undefined;
  dataStart = 0;
  dataEnd = 0;
  position = 0;
  #remaining: number;
  readonly #isUntilClose: boolean;

  constructor(length: number | undefined) {
    this.#isUntilClose = length === undefined;
    this.#remaining = length ?? Number.POSITIVE_INFINITY;
  }

  get isComplete(): boolean {
    return this.#remaining === 0;
  }

  advance(_buffer: Buffer, start: number, end: number): BodyStep {
    this.position = start;
    if (this.#remaining === 0) return 'end';
    if (start === end) return 'incomplete';
    const bytes = Math.min(end - start, this.#remaining);
    this.#remaining -= bytes;
    this.dataStart = start;
    this.dataEnd = start + bytes;
    this.position = this.dataEnd;
    return 'data';
  }

  close(): 'end' | 'truncated' {
    if (this.#isUntilClose) this.#remaining = 0;
    return this.#remaining === 0 ? 'end' : 'truncated';
  }
}
