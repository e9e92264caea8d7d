// Where a message ends (RFC 9112 section 6), from its Content-Length and Transfer-Encoding fields.
// Stricter than the RFC on purpose: both fields together, or either of them twice, is a reject and
// never a guess, because whatever stands behind this proxy may guess differently.
import { isToken, trimWhitespace } from './bytes.ts';
import type { FieldFacts } from './field-facts.ts';
import { rejectFraming, rejectUnsupported } from './reject.ts';
import type { Reject } from './reject.ts';

/** Framing of a request body; `length` keeps an explicit Content-Length of 0 apart from `none`. */
export type RequestFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' };

/** Framing of a response body; `until-close` ends with the connection. */
export type ResponseFraming = RequestFraming | { readonly kind: 'until-close' };
export type Framing = ResponseFraming;

export const noBody: RequestFraming = { kind: 'none' };
const chunked: RequestFraming = { kind: 'chunked' };
export const untilClose: ResponseFraming = { kind: 'until-close' };

/** Body bytes follow, or may follow. */
export function hasContent(framing: Framing): boolean {
  return framing.kind === 'length' ? framing.length > 0 : framing.kind !== 'none';
}

/** What the two framing fields say, before any rule about methods and status codes. */
export function parseFraming(facts: FieldFacts, version: 10 | 11): RequestFraming | Reject {
  if (facts.transferEncodingCount > 0) return parseTransferEncoding(facts, version);
  if (facts.contentLengthCount === 0) return noBody;
  if (facts.contentLengthCount > 1) return rejectFraming('several Content-Length fields');
  const length = parseContentLength(facts.contentLength);
  if (length === undefined) return rejectFraming('Content-Length is no number of bytes');
  return { kind: 'length', length };
}

function parseTransferEncoding(facts: FieldFacts, version: 10 | 11): RequestFraming | Reject {
  if (facts.contentLengthCount > 0) {
    return rejectFraming('Transfer-Encoding and Content-Length together');
  }
  if (facts.transferEncodingCount > 1) return rejectFraming('several Transfer-Encoding fields');
  if (version === 10) return rejectFraming('Transfer-Encoding in an HTTP/1.0 message');
  const coding = facts.transferEncoding.toLowerCase();
  if (coding === 'chunked') return chunked;
  return isForeignCoding(coding)
    ? rejectUnsupported(501, 'transfer coding other than chunked')
    : rejectFraming('Transfer-Encoding is not chunked');
}

/** `gzip, chunked`: right by the grammar, so 501 and not 400 (RFC 9112 section 6.1). */
function isForeignCoding(value: string): boolean {
  const codings = value.split(',').map(trimWhitespace);
  return codings.pop() === 'chunked' && !codings.includes('chunked') && codings.every(isToken);
}

/** Digits alone, at most 2^53 − 1: beyond it JavaScript would count other bytes than the peer. */
export function parseContentLength(text: string): number | undefined {
  if (text === '') return undefined;
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    length = length * 10 + digit;
    if (length > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return length;
}
