// The field lines of one message, in the order sent. Not a dictionary: fields of one name stay
// apart, and a name like `__proto__` is text in a list, never a key (A13). Values are latin1: one
// character is one byte.
// A Fields is the text of the section and positions in it; names and values are cut out when asked
// for (a cut is cheap in V8, a string per field of every head is not). Immutable.
import { cr, space } from './bytes.ts';
import type { KnownField } from './field-names.ts';
import { lowerNameOf, unknownField } from './field-names.ts';

/** Numbers that `marks` holds per field: known field, name start and end, value start and end. */
export const marksPerField = 5;

const underscore = 0x5f;

/** As they are sent in HTTP/2. */
export type TrailerLines = {
  /** What Connection of their message lists; the other thing that they depend on. */
  readonly nominated: ReadonlySet<string>;
  readonly lines: readonly { readonly name: string; readonly value: string }[];
};

/** The fields of one section; read-only. */
export class Fields {
  readonly #text: string;
  readonly #marks: readonly number[];
  /** Number of field lines. */
  readonly size: number;
  /**
   * Names (lower case) that their sender wants in no table of HPACK, on no hop (RFC 7541 section
   * 7.1.3); pseudo fields of its message as well. HTTP/1.1 has no such mark.
   */
  readonly neverIndexed: ReadonlySet<string> | undefined;
  /** Memos of what others have found in it, which is always the same (grpc.ts, http2-fields.ts). */
  isGrpc: boolean | undefined;
  grpcStatus: number | 'none' | undefined;
  asTrailers: TrailerLines | undefined;

  /** `marks`: `marksPerField` numbers per field, offsets in `text`. */
  constructor(text: string, marks: readonly number[], neverIndexed?: ReadonlySet<string>) {
    this.neverIndexed = neverIndexed;
    this.#text = text;
    this.#marks = marks;
    this.size = marks.length / marksPerField;
  }

  /** The name as sent. */
  nameAt(index: number): string {
    return this.#cut(index * marksPerField + 1);
  }

  lowerNameAt(index: number): string {
    const known = this.knownAt(index);
    return known === unknownField ? this.nameAt(index).toLowerCase() : lowerNameOf(known);
  }

  /** The value without the white space around it. */
  valueAt(index: number): string {
    return this.#cut(index * marksPerField + 3);
  }

  /** Number of the name in field-names.ts; `unknownField` for names without a number. */
  knownAt(index: number): KnownField {
    return this.#marks[index * marksPerField] ?? unknownField;
  }

  /**
   * The line is exactly `name: value CRLF`, as it would be written: then a run of such lines can be
   * written as one piece of the text.
   */
  isPlainAt(index: number): boolean {
    const mark = index * marksPerField;
    const nameEnd = this.#marks[mark + 2] ?? 0;
    const valueEnd = this.#marks[mark + 4] ?? 0;
    if ((this.#marks[mark + 3] ?? 0) !== nameEnd + 2) return false;
    if (this.#text.charCodeAt(nameEnd + 1) !== space) return false;
    return this.#text.charCodeAt(valueEnd) === cr;
  }

  /** The lines of the fields `from` to `to` (exclusive), which are all plain, with their ends. */
  plainLines(from: number, to: number): string {
    const start = this.#marks[from * marksPerField + 1] ?? 0;
    const end = this.#marks[(to - 1) * marksPerField + 4] ?? 0;
    return this.#text.slice(start, end + 2);
  }

  /** A letter that the name begins with (lower case), or 0 for a name with an underscore. */
  initialAt(index: number): number {
    const mark = index * marksPerField + 1;
    const start = this.#marks[mark] ?? 0;
    const end = this.#marks[mark + 1] ?? 0;
    for (let at = start; at < end; at += 1) {
      if (this.#text.charCodeAt(at) === underscore) return 0;
    }
    return this.#text.charCodeAt(start) | 0x20;
  }

  has(lowerName: string): boolean {
    return this.#next(lowerName, 0) >= 0;
  }

  /** Value of the first field of this name (lower case). */
  get(lowerName: string): string | undefined {
    const index = this.#next(lowerName, 0);
    return index < 0 ? undefined : this.valueAt(index);
  }

  /** The same by the number of a known name. */
  getKnown(known: KnownField): string | undefined {
    for (let index = 0; index < this.size; index += 1) {
      if (this.knownAt(index) === known) return this.valueAt(index);
    }
    return undefined;
  }

  /** All values of this name (lower case), in order. */
  values(lowerName: string): readonly string[] {
    let index = this.#next(lowerName, 0);
    if (index < 0) return noValues;
    const found: string[] = [];
    for (; index >= 0; index = this.#next(lowerName, index + 1)) found.push(this.valueAt(index));
    return found;
  }

  /** Fields as [name as sent, value], for logs and tests; hot code uses the indexed accessors. */
  *[Symbol.iterator](): IterableIterator<readonly [string, string]> {
    for (let index = 0; index < this.size; index += 1) {
      yield [this.nameAt(index), this.valueAt(index)];
    }
  }

  /** Index of the first field of this name from `from` on; -1 when there is none. */
  #next(lowerName: string, from: number): number {
    for (let index = from; index < this.size; index += 1) {
      const mark = index * marksPerField + 1;
      const length = (this.#marks[mark + 1] ?? 0) - (this.#marks[mark] ?? 0);
      if (length === lowerName.length && this.lowerNameAt(index) === lowerName) return index;
    }
    return -1;
  }

  #cut(mark: number): string {
    return this.#text.slice(this.#marks[mark], this.#marks[mark + 1]);
  }
}

const noValues: readonly string[] = [];
