// The decoder of HPACK (RFC 7541): header blocks in, field lines out. One per connection, because
// every block changes the table that the next one refers to. Blocks that change nothing – which is
// what a peer sends that repeats itself – are remembered by their bytes: the same bytes over the
// same table are the same list, without being decoded again.
// A list that is too long is still decoded to its end, or the tables of both sides would differ;
// its fields are dropped. Whoever collects a block bounds its bytes.
import { latin1Text } from '../http1/bytes.ts';
import { ruleOf } from './field-rules.ts';
import { decodeHuffman } from './hpack-huffman.ts';
import { DynamicTable, entryBytes, tableBytesMax } from './hpack-table.ts';
import { staticCount, staticFields } from './hpack-table.ts';
import type { HeaderField } from './hpack-table.ts';
import type { Malformed, MessageFacts } from './message-rules.ts';

/** A field line as it came. */
export class DecodedField implements HeaderField {
  readonly name: string;
  readonly value: string;
  readonly isSensitive: boolean;
  /** Of `fieldRule`. */
  readonly rule: number;

  constructor(name: string, value: string, isSensitive: boolean) {
    this.name = name;
    this.value = value;
    this.isSensitive = isSensitive;
    this.rule = ruleOf(name, value);
  }
}

/** The field lines of one block; the same object for the same block again. */
export type DecodedBlock = {
  readonly fields: readonly DecodedField[];
  /** The list passed a limit: its fields are not all here. */
  readonly isTooLarge: boolean;
  /** What it says as the head of a message, once the session has asked. */
  facts: MessageFacts | Malformed | undefined;
};

export type ListLimits = {
  /** Sum of names, values and 32 per field (RFC 9113 section 6.5.2). */
  readonly listBytesMax: number;
  readonly fieldsMax: number;
};

const staticEntries = staticFields.map(({ name, value }) => new DecodedField(name, value, false));
const nobody = new DecodedField('', '', false);

/** Blocks that are remembered, and how long they may be: what a connection holds for speed. */
const memoSlots = 8;
const memoBytesMax = 512;
/** A call of the runtime costs more than so many steps of a loop. */
const shortBytes = 48;

type Remembered = {
  readonly bytes: Buffer;
  readonly changes: number;
  readonly block: DecodedBlock;
};

export class HpackDecoder {
  readonly #limits: ListLimits;
  readonly #table = new DynamicTable<DecodedField>();
  readonly #memo: (Remembered | undefined)[] = [];
  #at = 0;
  #isFaulty = false;
  #fields: DecodedField[] = [];
  #listBytes = 0;

  constructor(limits: ListLimits) {
    this.#limits = limits;
  }

  /** Undefined: the block is malformed, and with it the connection (COMPRESSION_ERROR). */
  decode(buffer: Buffer, start: number, end: number): DecodedBlock | undefined {
    const slot = memoSlot(buffer, start, end);
    const known = this.#memo[slot];
    if (known?.changes === this.#table.changes && isSame(known.bytes, buffer, start, end)) {
      return known.block;
    }
    const { changes } = this.#table;
    const block = this.#decodeAll(buffer, start, end);
    const isRepeatable = block !== undefined && changes === this.#table.changes;
    if (isRepeatable && end - start <= memoBytesMax) {
      this.#memo[slot] = { bytes: Buffer.from(buffer.subarray(start, end)), changes, block };
    }
    return block;
  }

  #decodeAll(buffer: Buffer, start: number, end: number): DecodedBlock | undefined {
    this.#at = start;
    this.#isFaulty = false;
    this.#fields = [];
    this.#listBytes = 0;
    let mayResize = true;
    while (this.#at < end && !this.#isFaulty) {
      const first = buffer[this.#at] ?? 0;
      // Only at the beginning of a block (RFC 7541 section 4.2).
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) return undefined;
        this.#resize(buffer, end);
        continue;
      }
      mayResize = false;
      this.#step(first, buffer, end);
    }
    const fields = this.#fields;
    this.#fields = [];
    if (this.#isFaulty) return undefined;
    const { listBytesMax, fieldsMax } = this.#limits;
    const isTooLarge = this.#listBytes > listBytesMax || fields.length > fieldsMax;
    return { fields, isTooLarge, facts: undefined };
  }

  #step(first: number, buffer: Buffer, end: number): void {
    if ((first & 0x80) !== 0) {
      this.#add(this.#entryAt(this.#integer(0x7f, buffer, end)));
      return;
    }
    const isIndexed = (first & 0x40) !== 0;
    const index = this.#integer(isIndexed ? 0x3f : 0x0f, buffer, end);
    const name = index === 0 ? this.#text(buffer, end) : this.#entryAt(index).name;
    const value = this.#text(buffer, end);
    if (this.#isFaulty) return;
    const field = new DecodedField(name, value, !isIndexed && (first & 0x10) !== 0);
    if (isIndexed) this.#table.insert(field);
    this.#add(field);
  }

  /** Beyond the limits only counted. */
  #add(field: DecodedField): void {
    const { listBytesMax, fieldsMax } = this.#limits;
    this.#listBytes += entryBytes(field.name, field.value);
    const isWithin = this.#listBytes <= listBytesMax && this.#fields.length <= fieldsMax;
    if (isWithin) this.#fields.push(field);
  }

  #resize(buffer: Buffer, end: number): void {
    const bytes = this.#integer(0x1f, buffer, end);
    if (bytes > tableBytesMax) this.#isFaulty = true;
    else if (!this.#isFaulty) this.#table.resize(bytes);
  }

  #entryAt(index: number): DecodedField {
    const entry = index > staticCount
      ? this.#table.at(index - staticCount - 1)
      : staticEntries[index - 1];
    if (entry !== undefined) return entry;
    this.#isFaulty = true;
    return nobody;
  }

  /** RFC 7541 section 5.1; four further bytes hold more than any length or index of ours. */
  #integer(mask: number, buffer: Buffer, end: number): number {
    let value = (buffer[this.#at] ?? 0) & mask;
    this.#at += 1;
    if (value < mask) return value;
    for (let shift = 0; shift < 28 && this.#at < end; shift += 7) {
      const byte = buffer[this.#at] ?? 0;
      this.#at += 1;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    this.#isFaulty = true;
    return 0;
  }

  #text(buffer: Buffer, end: number): string {
    if (this.#at >= end) this.#isFaulty = true;
    if (this.#isFaulty) return '';
    const isHuffman = (buffer[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(0x7f, buffer, end);
    const start = this.#at;
    if (this.#isFaulty || length > end - start) {
      this.#isFaulty = true;
      return '';
    }
    this.#at += length;
    if (!isHuffman) return latin1Text(buffer, start, this.#at);
    const text = decodeHuffman(buffer, start, this.#at);
    if (text === undefined) this.#isFaulty = true;
    return text ?? '';
  }
}

function memoSlot(buffer: Buffer, start: number, end: number): number {
  const last = buffer[end - 1] ?? 0;
  const middle = buffer[(start + end) >> 1] ?? 0;
  return (end - start + last * 5 + middle * 3) % memoSlots;
}

function isSame(bytes: Buffer, buffer: Buffer, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false;
  if (bytes.length > shortBytes) return bytes.compare(buffer, start, end) === 0;
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at] !== buffer[start + at]) return false;
  }
  return true;
}
