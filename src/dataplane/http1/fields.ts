// The field lines of one message, in the order sent: names as sent, names in lower case, values as
// latin1 text (one character is one byte). Not a dictionary: fields of one name stay apart, and a
// name like `__proto__` is a string in an array, never a key (A13).
import type { KnownField } from './field-names.ts';
import { unknownField } from './field-names.ts';

export type Field = {
  /** As sent. */
  readonly name: string;
  readonly lowerName: string;
  /** Without the white space around it. */
  readonly value: string;
  /** Number of the name in field-names.ts. */
  readonly known: KnownField;
};

/** A list of fields; appended to while a head is parsed, read-only in practice afterwards. */
export class Fields {
  // Parallel arrays: one push each is cheaper than an object per field, and a head has few fields.
  readonly #names: string[] = [];
  readonly #lowerNames: string[] = [];
  readonly #values: string[] = [];
  readonly #known: KnownField[] = [];

  /** Number of field lines. */
  get size(): number {
    return this.#names.length;
  }

  append(field: Field): void {
    this.#names.push(field.name);
    this.#lowerNames.push(field.lowerName);
    this.#values.push(field.value);
    this.#known.push(field.known);
  }

  nameAt(index: number): string {
    return this.#names[index] ?? '';
  }

  lowerNameAt(index: number): string {
    return this.#lowerNames[index] ?? '';
  }

  valueAt(index: number): string {
    return this.#values[index] ?? '';
  }

  /** Number of the name in field-names.ts; `unknownField` for names without a number. */
  knownAt(index: number): KnownField {
    return this.#known[index] ?? unknownField;
  }

  has(lowerName: string): boolean {
    return this.#lowerNames.includes(lowerName);
  }

  /** Value of the first field of this name (lower case). */
  get(lowerName: string): string | undefined {
    const index = this.#lowerNames.indexOf(lowerName);
    return index < 0 ? undefined : this.#values[index];
  }

  /** All values of this name (lower case), in order. */
  values(lowerName: string): readonly string[] {
    let found: string[] | undefined;
    for (let index = 0; index < this.#lowerNames.length; index += 1) {
      if (this.#lowerNames[index] !== lowerName) continue;
      found ??= [];
      found.push(this.#values[index] ?? '');
    }
    return found ?? noValues;
  }

  /** Fields as [name as sent, value], for logs and tests; hot code uses the indexed accessors. */
  *[Symbol.iterator](): IterableIterator<readonly [string, string]> {
    for (let index = 0; index < this.size; index += 1) {
      yield [this.nameAt(index), this.valueAt(index)];
    }
  }
}

const noValues: readonly string[] = [];
