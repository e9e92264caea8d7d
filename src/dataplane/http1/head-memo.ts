// The last head of a connection: its bytes, and what they were parsed to. A peer that keeps its
// connection sends the same head again and again; comparing some hundred bytes is a tenth of the
// work of parsing them.
// Why reuse is safe: a parser decides byte by byte and never looks behind the end of a head, so
// what begins with the very bytes of a head *is* that head, and heads are immutable. One byte that
// differs is another head, which is parsed anew. The bytes are a copy of their own, never a view of
// a read buffer; a memo belongs to one connection and never sees another one's bytes.
import { lf } from './bytes.ts';

/** A longer head is parsed each time; bounds what an idle connection holds. */
const memoBytesMax = 4 * 1024;
/** Room is made in steps, so that heads of slightly different lengths share it. */
const capacityStep = 512;

export class HeadMemo<Head> {
  #bytes: Buffer | undefined;
  #length = 0;
  #head: Head | undefined;
  #isFirst = true;

  /** Length of the head that `find` answers with. */
  get bytes(): number {
    return this.#length;
  }

  /** The head that `buffer[start, end)` begins with, if it is the one that was kept. */
  find(buffer: Buffer, start: number, end: number): Head | undefined {
    const length = this.#length;
    // The line end says no to most heads of another length.
    if (length === 0 || end - start < length || buffer[start + length - 1] !== lf) return undefined;
    const isSame = this.#bytes?.compare(buffer, start, start + length, 0, length) === 0;
    return isSame ? this.#head : undefined;
  }

  /** `head` was parsed from exactly these bytes. */
  keep(buffer: Buffer, start: number, end: number, head: Head): void {
    // Many connections carry a single request: only the second one says that more may come.
    if (this.#isFirst || end - start > memoBytesMax) {
      this.#isFirst = false;
      this.forget();
      return;
    }
    const length = end - start;
    if (this.#bytes === undefined || this.#bytes.length < length) {
      this.#bytes = Buffer.allocUnsafeSlow(Math.ceil(length / capacityStep) * capacityStep);
    }
    buffer.copy(this.#bytes, 0, start, end);
    this.#length = length;
    this.#head = head;
  }

  /** `find` may answer with it again. */
  holds(head: Head): boolean {
    return this.#head === head;
  }

  forget(): void {
    this.#length = 0;
    this.#head = undefined;
  }
}
