// The streams of a session that closed last. Frames that cross our RST_STREAM on the wire are
// harmless and ignored; frames of a stream that ended otherwise, or that never was, are not
// (RFC 9113 section 5.1). A ring: what was forgotten counts as never opened.
import { goneStreamsMax } from './limits.ts';

export class GoneStreams {
  /** Negative: we have reset it. Grows up to its maximum, since most sessions are short. */
  readonly #ids: number[] = [];
  #next = 0;

  add(id: number, isResetByUs: boolean): void {
    this.#ids[this.#next] = isResetByUs ? -id : id;
    this.#next = (this.#next + 1) % goneStreamsMax;
  }

  find(id: number): 'reset' | 'closed' | 'unknown' {
    if (this.#ids.includes(-id)) return 'reset';
    return this.#ids.includes(id) ? 'closed' : 'unknown';
  }
}
