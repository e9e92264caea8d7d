// The streams of a session that closed last. Frames that cross our RST_STREAM on the wire are
// harmless and ignored; frames of a stream that ended otherwise, or that never was, are not
// (RFC 9113 section 5.1). A ring: how a stream ended that it has forgotten is not known any more,
// and frames of it pass for late ones. One client that gives up many calls at once must not cost
// the others their connection, so the doubt is the peer's, within the limits of flood-guard.ts.
import { goneStreamsMax } from './limits.ts';

export class GoneStreams {
  /** Negative: we have reset it. Grows up to its maximum, since most sessions are short. */
  readonly #ids: number[] = [];
  #next = 0;
  /** The highest id that was overwritten. */
  #forgottenMax = 0;

  add(id: number, isResetByUs: boolean): void {
    this.#forgottenMax = Math.max(this.#forgottenMax, Math.abs(this.#ids[this.#next] ?? 0));
    this.#ids[this.#next] = isResetByUs ? -id : id;
    this.#next = (this.#next + 1) % goneStreamsMax;
  }

  find(id: number): 'reset' | 'closed' | 'unknown' {
    if (this.#ids.includes(-id)) return 'reset';
    if (this.#ids.includes(id)) return 'closed';
    return id <= this.#forgottenMax ? 'reset' : 'unknown';
  }
}
