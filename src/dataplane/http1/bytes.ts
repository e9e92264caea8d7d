// Byte classes of RFC 9110 section 5.6 and RFC 9112 as tables: one load per byte, no regular
// expression and no call on the way of every head. Everything not listed in a table is refused.

export const tab = 0x09;
export const lf = 0x0a;
export const cr = 0x0d;
export const space = 0x20;
export const percent = 0x25;
export const slash = 0x2f;
export const colon = 0x3a;
export const semicolon = 0x3b;
export const backslash = 0x5c;
export const dot = 0x2e;

const tokenText =
  "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function table(holds: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (holds(byte) ? 1 : 0));
}

/** tchar: methods, field names, list members. */
export const tokenBytes = table((byte) => tokenText.includes(String.fromCharCode(byte)));

/** Bytes of a field value or reason phrase: TAB, SP, VCHAR, obs-text; no other control byte. */
export const valueBytes = table((byte) => byte === tab || (byte >= 0x20 && byte !== 0x7f));

/**
 * Bytes of a request target: printable ASCII but `#`. Wider than RFC 3986 (`[`, `|`, `"` are in the
 * URLs of real clients and mean the same to everybody), narrower than what some servers take: bytes
 * from 0x80 on must be percent-encoded, since parsers disagree about their character set.
 */
export const targetBytes = table((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x23);

/** Value of a hex digit; -1 for every other byte. */
export const hexValues = Int8Array.from({ length: 256 }, (_, byte) => hexValueOf(byte));

function hexValueOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

// In every Node since version 6, yet in no documentation: what `toString('latin1')` ends up in
// after it has looked up the encoding's name. The types do not know it, hence the `as` below.
type Latin1Slicing = { readonly latin1Slice: (start: number, end: number) => string };

/** `buffer[start, end)` as text, one character per byte. */
export function latin1Text(buffer: Buffer, start: number, end: number): string {
  return start === end ? '' : (buffer as Buffer & Latin1Slicing).latin1Slice(start, end);
}

/** True when `text` is one or more tchars. */
export function isToken(text: string): boolean {
  if (text === '') return false;
  for (let at = 0; at < text.length; at += 1) {
    if (tokenBytes[text.charCodeAt(at)] !== 1) return false;
  }
  return true;
}

/** True when `text` can be written as a field value: bytes only, no control byte but TAB. */
export function isFieldValue(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if ((code < space || code > 0x7e) && valueBytes[code] !== 1) return false;
  }
  return true;
}

/** `text` without SP and TAB at both ends; `trim()` would also take bytes 0x0b, 0x0c and 0xa0. */
export function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start += 1;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end -= 1;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

function isWhitespace(code: number): boolean {
  return code === space || code === tab;
}

/**
 * The same text in one piece. V8 keeps what was put together with `+` as a tree, twenty nodes for a
 * head, and walks it each time it is written: with thousands of connections a cache miss per node.
 */
export function flatText(text: string): string {
  return latin1Text(Buffer.from(text, 'latin1'), 0, text.length);
}
