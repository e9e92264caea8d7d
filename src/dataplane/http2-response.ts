// Heads of answers as field lines of HTTP/2: what http1/serialise.ts does for a client of HTTP/1.1,
// by the same rules of forwarding. Lists that depend on nothing but the head are kept with it,
// because the encoder copies a list that it has seen before.
import { field } from './http1/field-names.ts';
import { passesDownstream } from './http1/forwarding.ts';
import { lineAt } from './http2-fields.ts';
import { isBodyless } from './http1/response-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { HeaderField } from './http2/hpack-table.ts';

/** The head of a pod's answer; `date` is written where the pod sent none. */
export function http2Response(head: HttpResponseHead, date: string): readonly HeaderField[] {
  const known = head.rendered.lines;
  if (known !== undefined) return known;
  const { fields, nominated, framing, status, contentLength } = head;
  const lines: HeaderField[] = [{ name: ':status', value: String(status) }];
  const isChunked = framing.kind === 'chunked' || framing.kind === 'until-close';
  for (let index = 0; index < fields.size; index += 1) {
    if (!passesDownstream(fields, index, nominated)) continue;
    if (fields.knownAt(index) === field.trailer && !isChunked) continue;
    lines.push(lineAt(fields, index));
  }
  if (status < 200) return lines;
  // That of a HEAD or 304 says what a GET would get; a 204 must not have one.
  const length = framing.kind === 'length' ? framing.length : contentLength;
  if (length !== undefined && status !== 204) {
    lines.push({ name: 'content-length', value: String(length) });
  }
  if (fields.has('date')) head.rendered.lines = lines;
  else lines.push({ name: 'date', value: date });
  return lines;
}

export type OwnHead = {
  readonly status: number;
  /** Value of `weft-reason`; none for answers that are no refusal. */
  readonly reason: string | undefined;
  readonly date: string;
  readonly retryAfterS?: number | undefined;
};

/** The head of an answer of our own with a body of so many bytes. */
export function ownResponse(head: OwnHead, bytes: number): readonly HeaderField[] {
  const { status, reason, date, retryAfterS } = head;
  const lines = [
    { name: ':status', value: String(status) },
    { name: 'content-type', value: 'text/plain; charset=utf-8' },
    { name: 'date', value: date },
  ];
  // RFC 9110 section 8.6: a 204 must not have one.
  if (!isBodyless(status)) lines.push({ name: 'content-length', value: String(bytes) });
  if (reason !== undefined) lines.push({ name: 'weft-reason', value: reason });
  if (retryAfterS !== undefined) lines.push({ name: 'retry-after', value: String(retryAfterS) });
  return lines;
}
