// DNS queries off the wire (RFC 1035 §4.1, EDNS0 RFC 6891). Strict and bounded: one question, no
// compression in it, whatever follows is walked record by record. Never throws; what is no query at
// all is dropped, so that two servers cannot be set to answer each other.

/** What a reply has to repeat, whatever the question was. */
export type QueryHeader = {
  readonly id: number;
  readonly opcode: number;
  /** RD and CD, in their places. */
  readonly echoedFlags: number;
};

export type Edns = {
  readonly version: number;
  /** Largest UDP message that the client takes. */
  readonly payloadBytes: number;
  /** DO and the reserved flags, in their places. */
  readonly flags: number;
};

export type Query = {
  readonly header: QueryHeader;
  /** Lower case, no trailing dot; bytes that no hostname has are escaped as `\ddd`. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The question as sent, from byte 12 on: replies repeat its bytes, and with them its case. */
  readonly question: Uint8Array;
  /** Bytes of the name in `question`, its final zero included. */
  readonly nameBytes: number;
  readonly edns: Edns | undefined;
};

export type ParsedQuery =
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'malformed'; readonly header: QueryHeader }
  | { readonly kind: 'unsupported'; readonly header: QueryHeader }
  | { readonly kind: 'drop' };

export const headerBytes = 12;

const responseFlag = 0x8000;
const opcodeMask = 0x7800;
/** RD (0x0100) and CD (0x0010, RFC 4035 §3.1.6). */
const echoedMask = 0x0110;
const nameBytesMax = 255;
const optType = 41;

export function parseQuery(message: Uint8Array): ParsedQuery {
  if (message.length < headerBytes) return { kind: 'drop' };
  const view = viewOf(message);
  const flags = view.getUint16(2);
  if ((flags & responseFlag) !== 0) return { kind: 'drop' };
  const opcode = (flags & opcodeMask) >> 11;
  const header = { id: view.getUint16(0), opcode, echoedFlags: flags & echoedMask };
  if (opcode !== 0) return { kind: 'unsupported', header };
  const malformed: ParsedQuery = { kind: 'malformed', header };
  // One question, nothing in the answer and authority sections; OPT is in the additional one.
  const counts = [4, 6, 8].map((at) => view.getUint16(at));
  if (counts[0] !== 1 || counts[1] !== 0 || counts[2] !== 0) return malformed;
  const name = readName(message, headerBytes);
  if (name === undefined || name.end + 4 > message.length) return malformed;
  const edns = readEdns(message, name.end + 4, view.getUint16(10));
  if (edns === 'malformed') return malformed;
  const query: Query = {
    header,
    name: name.text,
    type: view.getUint16(name.end),
    class: view.getUint16(name.end + 2),
    question: message.subarray(headerBytes, name.end + 4),
    nameBytes: name.end - headerBytes,
    edns,
  };
  return { kind: 'query', query };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

type ReadName = { readonly text: string; readonly end: number };

/** An uncompressed name: the question is first, there is nothing before it to point to. */
function readName(message: Uint8Array, start: number): ReadName | undefined {
  let text = '';
  let at = start;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) return { text, end: at };
    const end = at + length;
    if (end >= message.length || end - start >= nameBytesMax) return undefined;
    if (text !== '') text += '.';
    for (; at < end; at += 1) text += characterOf(message[at] ?? 0);
  }
}

/** A dot inside a label, or a byte that no name of ours holds, must not look like one that is. */
function characterOf(byte: number): string {
  const isUpper = byte >= 0x41 && byte <= 0x5a;
  const isLower = byte >= 0x61 && byte <= 0x7a;
  const isDigit = byte >= 0x30 && byte <= 0x39;
  if (isUpper) return String.fromCharCode(byte + 0x20);
  if (isLower || isDigit || byte === 0x2d || byte === 0x5f) return String.fromCharCode(byte);
  return `\\${String(byte).padStart(3, '0')}`;
}

/** Walks the additional section; at most one OPT may be in it (RFC 6891 §6.1.1). */
function readEdns(
  message: Uint8Array,
  start: number,
  count: number,
): Edns | undefined | 'malformed' {
  const view = viewOf(message);
  let edns: Edns | undefined;
  let at = start;
  for (let record = 0; record < count; record += 1) {
    const owner = skipName(message, at);
    if (owner === undefined || owner + 10 > message.length) return 'malformed';
    const end = owner + 10 + view.getUint16(owner + 8);
    if (end > message.length) return 'malformed';
    if (view.getUint16(owner) === optType) {
      // Its owner is the root: one zero byte.
      if (edns !== undefined || owner !== at + 1) return 'malformed';
      edns = {
        payloadBytes: view.getUint16(owner + 2),
        version: view.getUint8(owner + 5),
        flags: view.getUint16(owner + 6),
      };
    }
    at = end;
  }
  return edns;
}

/** Index after a name that may end in a pointer; pointers are not followed, so nothing can loop. */
function skipName(message: Uint8Array, start: number): number | undefined {
  let at = start;
  while (at - start < nameBytesMax) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > 63) return undefined;
    at += length + 1;
  }
  return undefined;
}
