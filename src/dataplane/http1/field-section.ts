// The field lines of a head or a trailer section, up to and including the empty line:
// `name ":" OWS value OWS CRLF` (RFC 9112 section 5), nothing else. A line that is not exactly that
// refuses the message: a skipped line may have been the one that frames the body.
// Offsets are counted from the beginning of the message part, because the part may move to another
// buffer between two calls (carried-bytes.ts).
import { colon, cr, latin1Text, lf, space, tab, tokenBytes, valueBytes } from './bytes.ts';
import { incomplete, refused } from './carried-bytes.ts';
import { knownFieldAt } from './field-names.ts';
import { Fields, marksPerField } from './fields.ts';
import { rejectHeadTooLarge, rejectSyntax } from './reject.ts';
import type { Reject } from './reject.ts';

const colonUnseen = -1;
const noFields = new Fields('', []);
/** Never added to. */
const noMarks: number[] = [];

/** Reads one section after the other; `begin` comes before each. */
export class FieldSection {
  readonly #fieldsMax: number;
  /** Becomes the property of the Fields that are made from it. */
  #marks: number[] = [];
  #fields = noFields;
  #start = 0;
  #lineStart = 0;
  /** Of the current line; `colonUnseen` while its name is read. */
  #colonAt = colonUnseen;
  /** Offset up to which the current line is known to be good. */
  #scanned = 0;
  #reject: Reject | undefined;

  constructor(fieldsMax: number) {
    this.#fieldsMax = fieldsMax;
  }

  /** The fields, once `advance` has returned their end. */
  get fields(): Fields {
    return this.#fields;
  }

  /** Holds nothing of the section any more; `begin` comes before the next one. */
  forget(): void {
    this.#fields = noFields;
    this.#marks = noMarks;
  }

  /** Why `advance` returned `refused`. */
  get reject(): Reject | undefined {
    return this.#reject;
  }

  /** Begins a section; `start`: offset of its first line in the message part. */
  begin(start: number): void {
    this.#marks = [];
    this.#start = start;
    this.#lineStart = start;
    this.#scanned = start;
    this.#colonAt = colonUnseen;
  }

  /** Offset behind the empty line, or `incomplete`, or `refused`. */
  advance(buffer: Buffer, base: number, stop: number): number {
    for (;;) {
      if (this.#colonAt === colonUnseen) {
        const end = this.#scanName(buffer, base, stop);
        if (end !== goOn) return end;
      }
      const end = this.#scanValue(buffer, base, stop);
      if (end !== goOn) return end;
    }
  }

  /** The name up to its colon; or the empty line that ends the section. */
  #scanName(buffer: Buffer, base: number, stop: number): number {
    let at = base + this.#scanned;
    const lineStart = base + this.#lineStart;
    while (at < stop && tokenBytes[buffer[at] ?? 0] === 1) at += 1;
    this.#scanned = at - base;
    if (at === stop) return incomplete;
    const byte = buffer[at];
    if (at === lineStart) {
      if (byte !== cr) return this.#refuse(lineFault(byte));
      if (at + 1 === stop) return incomplete;
      return buffer[at + 1] === lf ? this.#end(buffer, base, at) : this.#refuse('bare CR');
    }
    if (byte !== colon) return this.#refuse(nameFault(byte));
    this.#colonAt = at - base;
    this.#scanned = at + 1 - base;
    return goOn;
  }

  /** The value and the CRLF behind it; only then is the line a field. */
  #scanValue(buffer: Buffer, base: number, stop: number): number {
    let at = base + this.#scanned;
    // Printable ASCII without a look at the table: nearly all bytes of nearly all values.
    for (let byte = 0; at < stop; at += 1) {
      byte = buffer[at] ?? 0;
      if ((byte < 0x20 || byte > 0x7e) && valueBytes[byte] !== 1) break;
    }
    this.#scanned = at - base;
    if (at === stop) return incomplete;
    if (buffer[at] !== cr) return this.#refuse(valueFault(buffer[at]));
    if (at + 1 === stop) return incomplete;
    if (buffer[at + 1] !== lf) return this.#refuse('bare CR in a field value');
    if (this.#marks.length === this.#fieldsMax * marksPerField) {
      this.#reject = rejectHeadTooLarge(`more than ${this.#fieldsMax} field lines`);
      return refused;
    }
    this.#mark(buffer, base, at);
    this.#colonAt = colonUnseen;
    this.#lineStart = at + 2 - base;
    this.#scanned = this.#lineStart;
    return goOn;
  }

  /** Notes where the field stands, without the white space around its value. */
  #mark(buffer: Buffer, base: number, lineEnd: number): void {
    const nameStart = base + this.#lineStart;
    const nameEnd = base + this.#colonAt;
    let valueStart = nameEnd + 1;
    let valueEnd = lineEnd;
    while (valueStart < valueEnd && isWhitespace(buffer[valueStart])) valueStart += 1;
    while (valueEnd > valueStart && isWhitespace(buffer[valueEnd - 1])) valueEnd -= 1;
    const known = knownFieldAt(buffer, nameStart, nameEnd);
    const textStart = base + this.#start;
    this.#marks.push(
      known,
      nameStart - textStart,
      nameEnd - textStart,
      valueStart - textStart,
      valueEnd - textStart,
    );
  }

  /** One text for the whole section: cheaper than one per name and value. */
  #end(buffer: Buffer, base: number, emptyLine: number): number {
    const text = latin1Text(buffer, base + this.#start, emptyLine);
    this.#fields = this.#marks.length === 0 ? noFields : new Fields(text, this.#marks);
    return emptyLine + 2 - base;
  }

  #refuse(detail: string): number {
    this.#reject = rejectSyntax(detail);
    return refused;
  }
}

/** The line goes on, or the next one begins. */
const goOn = -4;

function isWhitespace(byte: number | undefined): boolean {
  return byte === space || byte === tab;
}

function lineFault(byte: number | undefined): string {
  if (byte === lf) return 'bare LF at the end of the head';
  if (byte === colon) return 'empty field name';
  return isWhitespace(byte) ? 'folded field line' : 'field name is no token';
}

function nameFault(byte: number | undefined): string {
  if (isWhitespace(byte)) return 'white space in or after a field name';
  return byte === cr || byte === lf ? 'field line without a colon' : 'field name is no token';
}

function valueFault(byte: number | undefined): string {
  return byte === lf ? 'bare LF in a field value' : 'control byte in a field value';
}
