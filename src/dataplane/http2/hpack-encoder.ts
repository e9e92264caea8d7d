// The encoder of HPACK (RFC 7541): field lines in, a header block out. It is free in what it puts
// into the table, and careful: a line is inserted when it comes for the second time, so that values
// which never repeat (or a client that means to thrash the table) push nothing out; what is
// sensitive, and names whose values are new each time, are never inserted. Text is sent raw.
// A list that was encoded before, as the same object over the same table, is copied.
import { entryBytes, staticCount, staticFields, tableBytesMax } from './hpack-table.ts';
import type { HeaderField } from './hpack-table.ts';

/** Never put into a table: secrets, which a shared table could tell (RFC 7541 section 7.1). */
const sensitiveNames: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
]);

/** New with each message, or nearly. */
const volatileNames: ReadonlySet<string> = new Set([
  'content-length',
  'date',
  'etag',
  'grpc-timeout',
  'traceparent',
  'tracestate',
  'x-request-id',
]);

/** An entry may take a quarter of the table. */
const valueBytesMax = tableBytesMax / 4;
/** Lines seen lately, by a cheap hash: the second time in a row is what counts. */
const recentSlots = 64;
/** Lists that are remembered, where the peer hears the same few again and again. */
const memoSlots = 4;
/** A block that is remembered fits into one frame. */
const memoBytesMax = 1024;

// How an integer begins: the bits in front of it, and behind them the mask of its first byte.
const indexForm = 0x807f;
const insertForm = 0x403f;
const literalForm = 0x000f;
const neverForm = 0x100f;
const resizeForm = 0x201f;
const textForm = 0x007f;

type Name = {
  /** 0: not in the static table. */
  readonly index: number;
  readonly isSensitive: boolean;
  readonly isVolatile: boolean;
  /** Indices of the static entries by value. */
  readonly values: ReadonlyMap<string, number>;
};

function nameOf(name: string): Name {
  const values = new Map<string, number>();
  let first = 0;
  staticFields.forEach((field, place) => {
    if (field.name !== name) return;
    if (first === 0) first = place + 1;
    values.set(field.value, place + 1);
  });
  const isSensitive = sensitiveNames.has(name);
  return { index: first, isSensitive, isVolatile: volatileNames.has(name), values };
}

const names: ReadonlyMap<string, Name> = new Map(
  [...staticFields.map(({ name }) => name), ...volatileNames].map((name) => [name, nameOf(name)]),
);
const otherName: Name = nameOf('');

type Inserted = { readonly name: string; readonly value: string; readonly number: number };

/** What is known of a list. */
export type Remembered = {
  changes: number;
  /** Kept when the list comes for the second time: most never do. */
  bytes: Buffer | undefined;
};

/** Lists by identity: a WeakMap where many senders have each their own, else `RecentLists`. */
export type ListMemo = {
  get(fields: readonly HeaderField[]): Remembered | undefined;
  set(fields: readonly HeaderField[], remembered: Remembered): unknown;
};

/** The last few. */
export class RecentLists implements ListMemo {
  readonly #lists: (readonly HeaderField[] | undefined)[] = [];
  readonly #remembered: Remembered[] = [];
  #next = 0;

  get(fields: readonly HeaderField[]): Remembered | undefined {
    for (let slot = 0; slot < this.#lists.length; slot += 1) {
      if (this.#lists[slot] === fields) return this.#remembered[slot];
    }
    return undefined;
  }

  set(fields: readonly HeaderField[], remembered: Remembered): void {
    this.#lists[this.#next] = fields;
    this.#remembered[this.#next] = remembered;
    this.#next = (this.#next + 1) % memoSlots;
  }
}

/** Bytes that the block of `fields` takes at most. */
export function blockBytesMax(fields: readonly HeaderField[]): number {
  // A table size update, and per line three integers of at most five bytes each.
  let bytes = 10;
  for (const { name, value } of fields) bytes += name.length + value.length + 15;
  return bytes;
}

export class HpackEncoder {
  /** Value to its number, by name; numbers count all insertions. */
  readonly #numbers = new Map<string, Map<string, number>>();
  #entries: Inserted[] = [];
  #inserted = 0;
  #bytes = 0;
  #bytesMax = tableBytesMax;
  #announced = tableBytesMax;
  /** The smallest maximum since the last block (RFC 7541 section 4.2). */
  #smallest = tableBytesMax;
  #changes = 0;
  readonly #recent: (HeaderField | undefined)[] = [];
  readonly #memo: ListMemo;

  constructor(memo: ListMemo = new RecentLists()) {
    this.#memo = memo;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(bytes: number): void {
    this.#bytesMax = Math.min(bytes, tableBytesMax);
    this.#smallest = Math.min(this.#smallest, this.#bytesMax);
    this.#changes += 1;
    this.#evict(this.#bytesMax);
  }

  /** The block of a list that was encoded before, over the table as it is. */
  blockOf(fields: readonly HeaderField[]): Buffer | undefined {
    const known = this.#memo.get(fields);
    return known?.changes === this.#changes ? known.bytes : undefined;
  }

  /** Writes a block at `at`, where there is room for `blockBytesMax`; answers where it ends. */
  encode(fields: readonly HeaderField[], buffer: Buffer, at: number): number {
    const known = this.#memo.get(fields);
    const changes = this.#changes;
    let end = this.#announce(buffer, at);
    for (const field of fields) end = this.#encodeField(field, buffer, end);
    if (known === undefined) {
      this.#memo.set(fields, { changes, bytes: undefined });
    } else if (changes === this.#changes && end - at <= memoBytesMax) {
      known.changes = changes;
      known.bytes = Buffer.from(buffer.subarray(at, end));
    }
    return end;
  }

  /** The new size of the table, where it has changed: the smallest in between comes first. */
  #announce(buffer: Buffer, at: number): number {
    let end = at;
    if (this.#smallest < this.#announced && this.#smallest < this.#bytesMax) {
      end = writeInteger(buffer, end, this.#smallest, resizeForm);
      this.#announced = this.#smallest;
    }
    if (this.#announced !== this.#bytesMax) {
      end = writeInteger(buffer, end, this.#bytesMax, resizeForm);
      this.#announced = this.#bytesMax;
    }
    if (end > at) this.#changes += 1;
    this.#smallest = this.#bytesMax;
    return end;
  }

  #encodeField(field: HeaderField, buffer: Buffer, at: number): number {
    const { name, value } = field;
    const known = names.get(name) ?? otherName;
    if (field.isSensitive === true || known.isSensitive) {
      return this.#literal(field, known, { buffer, at, form: neverForm });
    }
    const index = known.values.get(value);
    if (index !== undefined) return writeInteger(buffer, at, index, indexForm);
    if (known.isVolatile) return this.#literal(field, known, { buffer, at, form: literalForm });
    const number = this.#numbers.get(name)?.get(value);
    if (number !== undefined) {
      return writeInteger(buffer, at, staticCount + this.#inserted - number, indexForm);
    }
    if (!this.#isRepeated(field)) {
      return this.#literal(field, known, { buffer, at, form: literalForm });
    }
    const end = this.#literal(field, known, { buffer, at, form: insertForm });
    this.#insert(name, value);
    return end;
  }

  #literal(field: HeaderField, known: Name, to: Place): number {
    const { buffer, form } = to;
    const index = known.index > 0 ? known.index : this.#nameIndex(field.name);
    let end = writeInteger(buffer, to.at, index, form);
    if (index === 0) end = writeText(buffer, end, field.name);
    return writeText(buffer, end, field.value);
  }

  /** Of some entry with this name; 0 when there is none. */
  #nameIndex(name: string): number {
    const values = this.#numbers.get(name);
    if (values === undefined) return 0;
    for (const number of values.values()) return staticCount + this.#inserted - number;
    return 0;
  }

  #isRepeated(field: HeaderField): boolean {
    const { name, value } = field;
    if (entryBytes(name, value) > Math.min(valueBytesMax, this.#bytesMax)) return false;
    const slot = recentSlot(name, value);
    const before = this.#recent[slot];
    if (before === field) return true;
    this.#recent[slot] = field;
    return before?.name === name && before.value === value;
  }

  #insert(name: string, value: string): void {
    const bytes = entryBytes(name, value);
    this.#changes += 1;
    this.#evict(this.#bytesMax - bytes);
    const number = this.#inserted;
    this.#inserted += 1;
    this.#bytes += bytes;
    this.#entries.push({ name, value, number });
    const values = this.#numbers.get(name);
    if (values === undefined) this.#numbers.set(name, new Map([[value, number]]));
    else values.set(value, number);
  }

  #evict(bytesMax: number): void {
    let gone = 0;
    while (this.#bytes > bytesMax && gone < this.#entries.length) {
      const oldest = this.#entries[gone];
      gone += 1;
      if (oldest === undefined) break;
      this.#bytes -= entryBytes(oldest.name, oldest.value);
      const values = this.#numbers.get(oldest.name);
      values?.delete(oldest.value);
      if (values?.size === 0) this.#numbers.delete(oldest.name);
    }
    // At most 128 entries fit into a table, so this is cheap.
    if (gone > 0) this.#entries = this.#entries.slice(gone);
  }
}

function recentSlot(name: string, value: string): number {
  const ends = name.charCodeAt(name.length - 1) * 5 + value.charCodeAt(value.length - 1);
  const middle = name.charCodeAt(name.length >> 1) * 3;
  // Of an empty text there are no such characters, and NaN is 0 here.
  return ((name.length * 31 + value.length * 7 + ends + middle) >>> 0) % recentSlots;
}

type Place = {
  readonly buffer: Buffer;
  readonly at: number;
  readonly form: number;
};

function writeInteger(
  buffer: Buffer,
  at: number,
  value: number,
  form: number,
): number {
  const mask = form & 0xff;
  const flags = form >> 8;
  if (value < mask) {
    buffer[at] = flags | value;
    return at + 1;
  }
  buffer[at] = flags | mask;
  let rest = value - mask;
  let end = at + 1;
  for (; rest >= 0x80; rest >>>= 7) {
    buffer[end] = (rest & 0x7f) | 0x80;
    end += 1;
  }
  buffer[end] = rest;
  return end + 1;
}

function writeText(buffer: Buffer, at: number, text: string): number {
  const start = writeInteger(buffer, at, text.length, textForm);
  return start + buffer.write(text, start, 'latin1');
}
