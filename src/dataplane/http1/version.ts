// `HTTP/1.1`, exactly (RFC 9112 section 2.3): byte by byte, so that a wrong version is refused as
// soon as its first wrong byte is there and a peer that speaks something else does not wait.
import { incomplete, refused } from './carried-bytes.ts';

/** Offset of the major digit in `HTTP/1.1`. */
const majorOffset = 5;
const minorOffset = 7;
const template = Uint8Array.from(Buffer.from('HTTP/0.0', 'latin1'));
/** Bytes of a version. */
export const versionBytes = template.length;

/** `versionBytes` when a version stands at `at`; else `refused` or `incomplete`. */
export function scanVersion(buffer: Buffer, at: number, stop: number): number {
  for (let offset = 0; offset < versionBytes; offset += 1) {
    if (at + offset >= stop) return incomplete;
    const byte = buffer[at + offset] ?? 0;
    const isDigitDue = offset === majorOffset || offset === minorOffset;
    if (isDigitDue ? byte < 0x30 || byte > 0x39 : byte !== template[offset]) return refused;
  }
  return versionBytes;
}

/** 10 or 11 (any later 1.x, RFC 9110 section 2.5); `undefined` for another major version. */
export function versionAt(buffer: Buffer, at: number): 10 | 11 | undefined {
  if (buffer[at + majorOffset] !== 0x31) return undefined;
  return buffer[at + minorOffset] === 0x30 ? 10 : 11;
}
