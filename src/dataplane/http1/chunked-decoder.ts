// The chunked coding (RFC 9112 section 7.1), exactly: 1 to 16 hex digits, an optional extension,
// CRLF, data, CRLF, a last chunk of size 0, trailer lines, an empty line. Line ends are CRLF only,
// also inside an extension (CVE-2025-22871, CVE-2025-55315: a bare LF there ends the line for some
// readers). Extensions are skipped and not forwarded; trailers are kept as sent, and serialise.ts
// leaves out those that may not be trailers.
import type { BodyDecoder, BodyLimits, BodyStep } from './body-decoder.ts';
import { cr, hexValues, lf, semicolon, valueBytes } from './bytes.ts';
import { CarriedBytes, incomplete, refused, tooLarge } from './carried-bytes.ts';
import { FieldSection } from './field-section.ts';
import type { Fields } from './fields.ts';
import { chunkExtensionBytesMax, chunkLineBytesMax } from './limits.ts';
import { rejectFraming, rejectHeadTooLarge } from './reject.ts';
import type { Reject } from './reject.ts';

/** As many as a 64-bit size needs; leading zeros count, or a line of them would be free. */
const sizeDigitsMax = 16;

/** What the next byte belongs to. */
type Phase =
  | 'size'
  /** From the `;` to the CR. */
  | 'extension'
  | 'size-lf'
  | 'data'
  /** The line end that is due exactly where the size says; any other byte was a lie about it. */
  | 'data-cr'
  | 'data-lf'
  /** Behind the line of the last chunk: fields, or at once the empty line. */
  | 'trailers'
  | 'end'
  | 'refused';

export class ChunkedDecoder implements BodyDecoder {
  readonly #used: BodyLimits;
  dataStart = 0;
  dataEnd = 0;
  position = 0;
  #phase: Phase = 'size';
  /** Size of the chunk, then what is left of its data. */
  #remaining = 0;
  #digits = 0;
  /** Of this chunk-size line. */
  #lineBytes = 0;
  /** Of all lines of this message. */
  #extensionBytes = 0;
  // Both only once a trailer is there, which is rare.
  #trailerBytes: CarriedBytes | undefined;
  #section: FieldSection | undefined;
  #trailers: Fields | undefined;
  #reject: Reject | undefined;

  constructor(used: BodyLimits) {
    this.#used = used;
  }

  get isComplete(): boolean {
    return this.#phase === 'end';
  }

  get trailers(): Fields | undefined {
    return this.#trailers;
  }

  get reject(): Reject | undefined {
    return this.#reject;
  }

  /** A chunked body says where it ends; a close before that is a cut, whatever has arrived. */
  close(): 'end' | 'truncated' {
    return this.#phase === 'end' ? 'end' : 'truncated';
  }

  advance(buffer: Buffer, start: number, end: number): BodyStep {
    this.position = start;
    for (;;) {
      switch (this.#phase) {
        case 'end':
          return 'end';
        case 'refused':
          return 'reject';
        case 'data':
          return this.#takeData(end);
        case 'trailers':
          return this.#readTrailers(buffer, end);
        default:
          if (this.position === end) return 'incomplete';
          this.#readFraming(buffer, end);
      }
    }
  }

  #takeData(end: number): BodyStep {
    const start = this.position;
    if (start === end) return 'incomplete';
    const bytes = Math.min(end - start, this.#remaining);
    this.#remaining -= bytes;
    if (this.#remaining === 0) this.#phase = 'data-cr';
    this.dataStart = start;
    this.dataEnd = start + bytes;
    this.position = this.dataEnd;
    return 'data';
  }

  /** One byte, or in an extension all bytes up to its end, of what stands between the data. */
  #readFraming(buffer: Buffer, end: number): void {
    const byte = buffer[this.position] ?? 0;
    switch (this.#phase) {
      case 'size':
        return this.#readSize(byte);
      case 'extension':
        return this.#skipExtension(buffer, end);
      case 'size-lf':
        if (byte !== lf) return this.#refuse('bare CR in a chunk-size line');
        this.#phase = this.#remaining === 0 ? 'trailers' : 'data';
        break;
      case 'data-cr':
        if (byte !== cr) return this.#refuse('chunk data is longer than its size');
        this.#phase = 'data-lf';
        break;
      default:
        if (byte !== lf) return this.#refuse('bare CR after chunk data');
        this.#beginSize();
    }
    this.position += 1;
  }

  #beginSize(): void {
    this.#phase = 'size';
    this.#remaining = 0;
    this.#digits = 0;
    this.#lineBytes = 0;
  }

  /** Digits, then at once CR or `;`: a space here is BWS to some readers and an error to others. */
  #readSize(byte: number): void {
    const digit = hexValues[byte] ?? -1;
    if (digit >= 0) {
      this.#digits += 1;
      this.#remaining = this.#remaining * 16 + digit;
      if (this.#digits > sizeDigitsMax || this.#remaining > Number.MAX_SAFE_INTEGER) {
        return this.#refuse('chunk size is too large');
      }
    } else if (this.#digits === 0) return this.#refuse('chunk size is no hex number');
    else if (byte === cr) this.#phase = 'size-lf';
    else if (byte === semicolon) this.#phase = 'extension';
    else return this.#refuse('chunk size is no hex number');
    this.#lineBytes += 1;
    this.position += 1;
  }

  #skipExtension(buffer: Buffer, end: number): void {
    const start = this.position;
    // Not a byte beyond the limit is looked at, so that the outcome does not depend on the cut.
    const left = Math.min(
      chunkLineBytesMax - this.#lineBytes,
      chunkExtensionBytesMax - this.#extensionBytes,
    );
    const limit = Math.min(end, start + left);
    let at = start;
    while (at < limit && valueBytes[buffer[at] ?? 0] === 1) at += 1;
    this.#lineBytes += at - start;
    this.#extensionBytes += at - start;
    this.position = at;
    if (at === end) return;
    const byte = buffer[at];
    if (byte === cr) {
      this.#phase = 'size-lf';
      this.position = at + 1;
    } else if (at - start === left && valueBytes[byte ?? 0] === 1) {
      this.#refuse('chunk extension is too long');
    } else this.#refuse('control byte in a chunk extension');
  }

  #readTrailers(buffer: Buffer, end: number): BodyStep {
    const at = this.position;
    // The usual end, CRLF in one piece, needs no section.
    const isPlainEnd = end - at >= 2 && buffer[at] === cr && buffer[at + 1] === lf;
    if (isPlainEnd && this.#section === undefined) {
      this.position = at + 2;
      this.#phase = 'end';
      return 'end';
    }
    const { limits, headBytes, headFields } = this.#used;
    this.#section ??= new FieldSection(limits.fieldsMax - headFields);
    // The empty line that ends every chunked body is granted to a head that used up its bytes.
    this.#trailerBytes ??= new CarriedBytes(Math.max(2, limits.headBytesMax - headBytes));
    const next = this.#trailerBytes.feed(this.#section, buffer, at, end);
    if (next === incomplete) {
      this.position = end;
      return 'incomplete';
    }
    if (next === refused || next === tooLarge) {
      this.#phase = 'refused';
      this.#reject = this.#section.reject ?? rejectHeadTooLarge('head and trailers are too large');
      return 'reject';
    }
    if (this.#section.fields.size > 0) this.#trailers = this.#section.fields;
    this.position = next;
    this.#phase = 'end';
    return 'end';
  }

  #refuse(detail: string): void {
    this.#reject = rejectFraming(detail);
    this.#phase = 'refused';
  }
}
