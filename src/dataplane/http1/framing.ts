// Where a message ends (RFC 9112 section 6), from its Content-Length and Transfer-Encoding fields.
// Stricter than the RFC on purpose: both fields together, or either of them twice, is a reject and
// never a guess, because whatever stands behind this proxy may guess differently.
import type { Fields } from './fields.ts';
import type { Reject } from './reject.ts';

/** Framing of a request body; `length` keeps an explicit Content-Length of 0 apart from `none`. */
export type RequestFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' };

/** Framing of a response body; `until-close` ends with the connection. */
export type ResponseFraming = RequestFraming | { readonly kind: 'until-close' };
export type Framing = ResponseFraming;

/** What the two framing fields say, before any rule about methods and status codes. */
export type FramingFields =
  | { readonly kind: 'absent' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' };

export declare function parseFramingFields(fields: Fields, version: 10 | 11): FramingFields | Reject;
