// Lets a parser of a message part (a head, a trailer section) see that part in one piece, however
// it arrives. The usual part arrives whole and is parsed where it lies; only a part that is cut by
// the end of a read is copied here, and the parser goes on where it stopped, so no byte is scanned
// twice. Memory: nothing between parts, at most `bytesMax` inside one.

/** More bytes are needed. */
export const incomplete = -1;
/** The part is refused; the parser knows why. */
export const refused = -2;
/** The part does not end within `bytesMax`. */
export const tooLarge = -3;

export type MessagePart = {
  /**
   * Goes on over `buffer[base, stop)`, which begins with the bytes that earlier calls have seen.
   * Returns the offset from `base` behind the part, or `incomplete`, or `refused`.
   */
  readonly advance: (buffer: Buffer, base: number, stop: number) => number;
};

const firstCapacity = 1024;

export class CarriedBytes {
  #bytes: Buffer | undefined;
  #length = 0;
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of an unfinished part that have been consumed. */
  get length(): number {
    return this.#length;
  }

  /**
   * Feeds `buffer[start, end)` to `part`. Returns the index in `buffer` behind the part, or
   * `incomplete` (everything was consumed), `refused`, `tooLarge`.
   */
  feed(part: MessagePart, buffer: Buffer, start: number, end: number): number {
    const before = this.#length;
    // Bytes beyond the limit are not even looked at: what is said does not depend on the cut.
    const taken = Math.min(end - start, this.#bytesMax - before);
    let offset: number;
    if (before === 0) {
      offset = part.advance(buffer, start, start + taken);
      if (offset === incomplete && taken < this.#bytesMax) this.#keep(buffer, start, start + taken);
    } else {
      const bytes = this.#keep(buffer, start, start + taken);
      offset = part.advance(bytes, 0, this.#length);
    }
    if (offset >= 0) {
      this.#bytes = undefined;
      this.#length = 0;
      return start + offset - before;
    }
    return offset === incomplete && before + taken === this.#bytesMax ? tooLarge : offset;
  }

  #keep(buffer: Buffer, start: number, end: number): Buffer {
    const length = this.#length + end - start;
    let bytes = this.#bytes;
    if (bytes === undefined || bytes.length < length) {
      const capacity = Math.max(firstCapacity, (bytes?.length ?? 0) * 2, length);
      const larger = Buffer.allocUnsafe(Math.min(capacity, this.#bytesMax));
      bytes?.copy(larger, 0, 0, this.#length);
      bytes = larger;
      this.#bytes = bytes;
    }
    buffer.copy(bytes, this.#length, start, end);
    this.#length = length;
    return bytes;
  }
}
