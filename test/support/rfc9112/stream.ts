// What the reference parser returns, and the fields of a head or trailer section (RFC 9112 5). The
// parser sees the whole text at once: it is no incremental parser and wants to be none.
import { fieldValue, ows, token, whole } from './grammar.ts';
import type { Note, Notes } from './notes.ts';

export type RfcField = { readonly name: string; readonly value: string };

export type RfcFraming =
  | { readonly kind: 'none' | 'chunked' | 'until-close' }
  | { readonly kind: 'length'; readonly length: number };

export type RfcMessage = {
  /** Method or status. */
  readonly what: string;
  /** As forwarded; empty for a response. */
  readonly target: string;
  /** Lower case, no port, no last dot; empty for a response. */
  readonly hostname: string;
  readonly fields: readonly RfcField[];
  readonly framing: RfcFraming;
  readonly body: string;
  readonly trailers: readonly RfcField[];
  readonly notes: ReadonlySet<Note>;
};

/** `notes` of an end: what was noted of the message that is not whole. */
export type RfcEnd = {
  readonly kind: 'idle' | 'closed' | 'partial-head' | 'partial-body' | 'reject';
  readonly notes: ReadonlySet<Note>;
  /** Of `partial-body`: what is there of it. */
  readonly body: string;
  /** Of `reject`. */
  readonly why: string;
};

export type RfcStream = { readonly messages: readonly RfcMessage[]; readonly end: RfcEnd };

/** Thrown by the rules below; `readStream` turns it into a reject. */
export class Rejected extends Error {}

export function reject(why: string): never {
  throw new Rejected(why);
}

const fieldLine = new RegExp(`^(${token})(${ows}):${ows}(${fieldValue})${ows}$`);
const foldedLine = new RegExp(`^[ \\t]+(${fieldValue})${ows}$`);

/** Lines between the start line, or the last chunk, and the empty line. */
export function readFields(
  lines: readonly string[],
  kind: 'request' | 'response',
  notes: Notes,
): RfcField[] {
  const fields: RfcField[] = [];
  for (const line of lines) {
    const [, folded] = foldedLine.exec(line) ?? [];
    const last = fields.at(-1);
    if (folded !== undefined && last !== undefined) {
      notes.add('folded line');
      fields[fields.length - 1] = { name: last.name, value: `${last.value} ${folded}` };
      continue;
    }
    const [, name, space, value] = fieldLine.exec(line) ?? [];
    if (name === undefined || value === undefined) reject('line that is no field');
    if (space !== '') {
      if (kind === 'request') reject('white space before a colon');
      notes.add('white space before the colon in a response');
    }
    fields.push({ name, value });
  }
  return fields;
}

export function valuesOf(fields: readonly RfcField[], lowerName: string): string[] {
  return fields
    .filter(({ name }) => name.toLowerCase() === lowerName)
    .map(({ value }) => value);
}

/** Members of a list, white space cut (RFC 9110 5.6.1); empty ones are still there. */
export function membersOf(values: readonly string[]): string[] {
  return values.flatMap((value) => value.split(',')).map((member) => cutSpace(member));
}

function cutSpace(text: string): string {
  return text.replace(/^[ \t]+/, '').replace(/[ \t]+$/, '');
}

/** RFC 9112 9.3. */
export function isPersistent(fields: readonly RfcField[], minor: string): boolean {
  const options = membersOf(valuesOf(fields, 'connection')).map((one) => one.toLowerCase());
  if (options.includes('close')) return false;
  return minor !== '0' || options.includes('keep-alive');
}

const digits = whole('[0-9]+');

/** `undefined` when it is no number. */
export function readNumber(text: string): number | undefined {
  return digits.test(text) ? Number(text) : undefined;
}
