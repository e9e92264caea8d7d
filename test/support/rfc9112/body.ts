// Message body length (RFC 9112 6.3) and the chunked coding (7.1), rule by rule, for the reference
// parser of the differential fuzz.
import { chunkExt, chunkSize, transferCoding, whole } from './grammar.ts';
import type { Notes } from './notes.ts';
import { membersOf, readFields, readNumber, reject, valuesOf } from './stream.ts';
import type { RfcField, RfcFraming } from './stream.ts';

const oneTransferCoding = whole(transferCoding);

/** What the framing fields say, apart from method and status; throws where they say nonsense. */
export function saidFraming(
  fields: readonly RfcField[],
  { kind, minor }: { readonly kind: 'request' | 'response'; readonly minor: string },
  notes: Notes,
): RfcFraming {
  const codings = valuesOf(fields, 'transfer-encoding');
  const lengths = valuesOf(fields, 'content-length');
  if (codings.length === 0 && lengths.length === 0) return { kind: 'none' };
  if (codings.length === 0) return ofLength(lengths, notes);
  if (lengths.length > 0) notes.add('both framing fields');
  if (codings.length > 1) notes.add('Transfer-Encoding on several lines');
  if (minor === '0') notes.add('Transfer-Encoding in HTTP/1.0');
  return ofCodings(membersOf(codings), kind, notes);
}

function ofCodings(
  members: readonly string[],
  kind: 'request' | 'response',
  notes: Notes,
): RfcFraming {
  const codings = members.filter((member) => member !== '').map((one) => one.toLowerCase());
  if (codings.length < members.length) notes.add('empty member of Transfer-Encoding');
  if (!codings.every((coding) => oneTransferCoding.test(coding))) reject('no transfer coding');
  if (codings.some((coding) => /^chunked[ \t]*;/.test(coding))) reject('chunked has no parameters');
  const before = codings.slice(0, -1);
  if (before.includes('chunked')) reject('chunked is not the last coding');
  if (codings.at(-1) === 'chunked') {
    if (before.length > 0) notes.add('transfer coding other than chunked');
    return { kind: 'chunked' };
  }
  // 6.3 rule 4: a request like that has no end that anybody could know.
  if (kind === 'request') reject('the last coding is not chunked');
  notes.add('transfer coding other than chunked');
  return { kind: 'until-close' };
}

function ofLength(values: readonly string[], notes: Notes): RfcFraming {
  const members = membersOf(values);
  const [first = ''] = members;
  const length = readNumber(first);
  if (length === undefined || members.some((member) => member !== first)) reject('bad length');
  if (members.length > 1) notes.add('repeated Content-Length');
  if (length > Number.MAX_SAFE_INTEGER) notes.add('length beyond 2^53');
  return { kind: 'length', length };
}

export type ReadBody = {
  readonly isWhole: boolean;
  readonly body: string;
  readonly trailers: readonly RfcField[];
  /** Index behind the body. */
  readonly end: number;
};

const partial = (body: string): ReadBody => ({ isWhole: false, body, trailers: [], end: NaN });

export type BodyPlace = {
  readonly text: string;
  readonly start: number;
  readonly kind: 'request' | 'response';
};

export function readBody(framing: RfcFraming, place: BodyPlace, notes: Notes): ReadBody {
  const { text, start } = place;
  switch (framing.kind) {
    case 'none':
      return { isWhole: true, body: '', trailers: [], end: start };
    case 'until-close':
      return { isWhole: true, body: text.slice(start), trailers: [], end: text.length };
    case 'length': {
      const end = start + framing.length;
      const body = text.slice(start, end);
      return end > text.length ? partial(body) : { isWhole: true, body, trailers: [], end };
    }
    case 'chunked':
      return readChunked(place, notes);
  }
}

const chunkLine = new RegExp(`^(${chunkSize})(${chunkExt})$`);
/** What recipients that ignore extensions read. */
const tolerantChunkLine = new RegExp(`^(${chunkSize})(;[\\t\\x20-\\x7e\\x80-\\xff]*)$`);
const chunkLineBytesMax = 256;

function readChunked({ text, start, kind }: BodyPlace, notes: Notes): ReadBody {
  let body = '';
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return partial(body);
    const size = readChunkLine(text.slice(at, lineEnd), notes);
    at = lineEnd + 2;
    if (size === 0) return readTrailers({ text, start: at, kind }, body, notes);
    body += text.slice(at, at + size);
    at += size;
    if (at >= text.length) return partial(body);
    const behind = text.slice(at, at + 2);
    if (!'\r\n'.startsWith(behind)) reject('no CRLF behind chunk data');
    if (behind.length < 2) return partial(body);
    at += 2;
  }
}

function readChunkLine(line: string, notes: Notes): number {
  const strict = chunkLine.exec(line);
  const [, digits = '', extension = ''] = strict ?? tolerantChunkLine.exec(line) ?? [];
  if (digits === '') reject('no chunk-size line');
  if (strict === null) notes.add('chunk extension by no grammar');
  if (/^[ \t]/.test(extension)) notes.add('white space behind a chunk size');
  if (line.length > chunkLineBytesMax) notes.add('long chunk-size line');
  const size = Number.parseInt(digits, 16);
  if (digits.length > 16 || size > Number.MAX_SAFE_INTEGER) {
    notes.add('chunk size of more than 16 digits or 2^53');
  }
  return size;
}

function readTrailers({ text, start, kind }: BodyPlace, body: string, notes: Notes): ReadBody {
  if (text.startsWith('\r\n', start)) return { isWhole: true, body, trailers: [], end: start + 2 };
  const end = text.indexOf('\r\n\r\n', start);
  if (end < 0) return partial(body);
  const trailers = readFields(text.slice(start, end).split('\r\n'), kind, notes);
  return { isWhole: true, body, trailers, end: end + 4 };
}
