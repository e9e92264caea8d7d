// Does a connection begin with the preface of HTTP/2 (RFC 9113 section 3.4)? Bytes that may still
// become one are held back; since they are the beginning of a constant, only their number is kept.
// No request of HTTP/1.1 is held up for long: the third byte of a POST, PUT or PATCH tells.
import { clientPreface } from './http2/frames.ts';

/** What cannot be HTTP/1.1 any more, however it goes on: nobody's method is PRI. */
const decisiveBytes = 'PRI * HTTP/2'.length;

/** `held` bytes of it have come before; `more`: hold back these as well. */
export function lookForPreface(held: number, buffer: Buffer, end: number): 'yes' | 'no' | 'more' {
  const count = Math.min(end, decisiveBytes - held);
  for (let at = 0; at < count; at += 1) {
    if (buffer[at] !== clientPreface[held + at]) return 'no';
  }
  return held + count === decisiveBytes ? 'yes' : 'more';
}

/** The bytes that were held back. */
export function heldPreface(held: number): Buffer {
  return clientPreface.subarray(0, held);
}
