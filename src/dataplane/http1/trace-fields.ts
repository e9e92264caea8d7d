// What may be passed on as `x-request-id` and W3C `traceparent`; anything else is replaced by one
// of our own. No regular expression: both are looked at for every request.
import { hexValues } from './bytes.ts';

const traceparentLength = 55;
/** Offsets of the dashes in `version-traceid-parentid-flags`. */
const dashes: readonly number[] = [2, 35, 52];

/** W3C Trace Context: lower-case hex, no version ff, ids that are not all zero. */
export function isTraceparent(value: string): boolean {
  if (value.length < traceparentLength) return false;
  for (let at = 0; at < traceparentLength; at += 1) {
    const code = value.charCodeAt(at);
    if (dashes.includes(at) ? code !== 0x2d : !isLowerHex(code)) return false;
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

function isLowerHex(code: number): boolean {
  return (hexValues[code] ?? -1) >= 0 && (code < 0x41 || code > 0x46);
}

function isZeros(value: string, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (value[at] !== '0') return false;
  return true;
}
