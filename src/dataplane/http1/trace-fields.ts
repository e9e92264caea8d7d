// What may be passed on as `x-request-id` and W3C `traceparent`; anything else is replaced by one
// of our own. No regular expression: both are looked at for every request.

const traceparentLength = 55;
/** `version-traceid-parentid-flags`: 1 where a dash stands. */
const dashes = new Uint8Array(traceparentLength);
dashes[2] = 1;
dashes[35] = 1;
dashes[52] = 1;

const lowerHexDigits = new Uint8Array(256);
for (const digit of '0123456789abcdef') lowerHexDigits[digit.charCodeAt(0)] = 1;

/** W3C Trace Context: lower-case hex, no version ff, ids that are not all zero. */
export function isTraceparent(value: string): boolean {
  if (value.length < traceparentLength) return false;
  for (let at = 0; at < traceparentLength; at += 1) {
    const code = value.charCodeAt(at);
    if (dashes[at] === 1 ? code !== 0x2d : lowerHexDigits[code] !== 1) return false;
  }
  if (value.startsWith('ff') || isZeros(value, 3, 35) || isZeros(value, 36, 52)) return false;
  if (value.length === traceparentLength) return true;
  // A later version may append more after another dash; version 00 has exactly four parts.
  return !value.startsWith('00') && value[traceparentLength] === '-' && isRequestId(value);
}

const requestIdLengthMax = 128;

/** 1 to 128 printable ASCII characters without spaces. */
export function isRequestId(value: string): boolean {
  if (value === '' || value.length > requestIdLengthMax) return false;
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code <= 0x20 || code >= 0x7f) return false;
  }
  return true;
}

function isZeros(value: string, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (value.charCodeAt(at) !== 0x30) return false;
  return true;
}
