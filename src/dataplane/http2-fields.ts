// Field lines of HTTP/2 as the rest of the data plane knows field lines (http1/fields.ts), and back
// again. What comes is judged already (http2/message-rules.ts): names are tokens in lower case and
// values hold no control byte, so that every line here may be written as HTTP/1.1 as it stands.
import { knownFieldCount, lowerNameOf, unknownField } from './http1/field-names.ts';
import type { KnownField } from './http1/field-names.ts';
import { Fields } from './http1/fields.ts';
import { passesAsTrailer } from './http1/forwarding.ts';
import type { HeaderField } from './http2/hpack-table.ts';

const knownNames: ReadonlyMap<string, KnownField> = new Map(
  Array.from({ length: knownFieldCount - 1 }, (_, index) => [lowerNameOf(index + 1), index + 1]),
);

/** Lines of one section, gathered one by one. */
export class FieldLines {
  #text = '';
  readonly #marks: number[] = [];
  #neverIndexed: Set<string> | undefined;

  add(name: string, value: string, isSensitive = false): void {
    if (isSensitive) this.neverIndex(name);
    const nameStart = this.#text.length;
    const nameEnd = nameStart + name.length;
    const valueStart = nameEnd + 2;
    this.#marks.push(
      knownNames.get(name) ?? unknownField,
      nameStart,
      nameEnd,
      valueStart,
      valueStart + value.length,
    );
    this.#text += `${name}: ${value}\r\n`;
  }

  /** Also for what is no line here, as are pseudo fields. */
  neverIndex(name: string): void {
    this.#neverIndexed ??= new Set();
    this.#neverIndexed.add(name);
  }

  fields(): Fields {
    return new Fields(this.#text, this.#marks, this.#neverIndexed);
  }
}

/** Trailers as they came. */
export function trailersOf(lines: readonly HeaderField[]): Fields {
  const fields = new FieldLines();
  for (const { name, value, isSensitive } of lines) fields.add(name, value, isSensitive);
  return fields.fields();
}

/**
 * Trailers as they are sent; `nominated`: names that Connection of their message lists. The same
 * object for the same of both, because the encoder copies a list that it has seen before.
 */
export function trailerLines(
  trailers: Fields,
  nominated: ReadonlySet<string>,
): readonly HeaderField[] {
  const known = trailers.asTrailers;
  if (known?.nominated === nominated) return known.lines;
  const lines = linesOf(trailers, nominated);
  trailers.asTrailers = { nominated, lines };
  return lines;
}

function linesOf(trailers: Fields, nominated: ReadonlySet<string>): readonly HeaderField[] {
  const lines: HeaderField[] = [];
  for (let index = 0; index < trailers.size; index += 1) {
    if (!passesAsTrailer(trailers, index, nominated)) continue;
    lines.push(lineAt(trailers, index));
  }
  return lines;
}

/** A line as it is sent. */
export function lineAt(fields: Fields, index: number): HeaderField {
  return lineOf(fields.lowerNameAt(index), fields.valueAt(index), fields.neverIndexed);
}

/** The same, with what its sender wants in no table. */
export function lineOf(
  name: string,
  value: string,
  neverIndexed: ReadonlySet<string> | undefined,
): HeaderField {
  return neverIndexed?.has(name) === true ? { name, value, isSensitive: true } : { name, value };
}
