// Writes message heads from their parsed form, never by copying what a peer sent: forwarding.ts
// says which fields pass, framing and Connection are made anew, and what could not be parsed cannot
// be written. Text is latin1: `socket.write(text, 'latin1')`. Values that callers bring along are
// checked: a line break in one would be a second field, or a second message.
import { assert } from '../../lib/assert.ts';
import { isFieldValue, isToken, latin1Text, trimWhitespace } from './bytes.ts';
import { field } from './field-names.ts';
import type { Fields } from './fields.ts';
import { mirrorField, passesAsTrailer, passesDownstream, passesUpstream } from './forwarding.ts';
import { untilClose } from './framing.ts';
import type { Framing } from './framing.ts';
import type { HttpRequestHead } from './request-head.ts';
import { isBodyless } from './response-head.ts';
import type { HttpResponseHead } from './response-head.ts';

/** Values of `x-forwarded-*`, already decided (replaced, or appended for a trusted source). */
export type ForwardedValues = {
  readonly for: string;
  readonly host: string;
  readonly proto: 'http' | 'https';
  readonly port: number;
};

/** The same, rendered. */
export type ForwardedLines = { readonly lines: string };

/** Fields of our own: lower-case names, written last. */
export type ExtraFields = readonly (readonly [name: string, value: string])[];

export type RequestIds = { readonly requestId: string; readonly traceparent: string };

/** All that a forwarded head says but for its ids, which may be new where the rest stays. */
export type PartsRendering = {
  readonly head: HttpRequestHead;
  /** Host that the pod sees. */
  readonly authority: string;
  readonly forwarded: ForwardedValues | ForwardedLines;
  /** The traceparent is the one that the client sent; else its `tracestate` is dropped too. */
  readonly keepsTrace: boolean;
  /** `close`: tell upstream that the connection is not used again. */
  readonly connection: 'keep-alive' | 'close';
  readonly extra?: ExtraFields;
};

export type RequestRendering = Omit<PartsRendering, 'keepsTrace'> & RequestIds;

/** Name by which this mesh stands in Via (RFC 9110 section 7.6.3). */
const viaName = 'weft';

/** Head of a forwarded request; its body is framed as `head.framing` says. */
export function renderRequestHead(rendering: RequestRendering): string {
  const keepsTrace = rendering.traceparent === rendering.head.fields.get('traceparent');
  return withIds(renderRequestParts({ ...rendering, keepsTrace }), rendering);
}

/** The text before and behind the ids. */
export type RequestHeadParts = {
  readonly before: string;
  readonly behind: string;
  /** As `Fields` has them, of a request that has such. */
  readonly neverIndexed?: ReadonlySet<string>;
};

export function withIds({ before, behind }: RequestHeadParts, ids: RequestIds): string {
  const requestId = fieldLine('x-request-id', ids.requestId);
  return before + requestId + fieldLine('traceparent', ids.traceparent) + behind;
}

/** The same for every request of this head, whatever its ids are. */
export function renderRequestParts(rendering: PartsRendering): RequestHeadParts {
  const { head, forwarded } = rendering;
  let text = `${head.method} ${head.target} HTTP/1.1\r\n${fieldLine('host', rendering.authority)}`;
  text += passedRequestFields(rendering);
  text += framingLine(head.framing);
  if (head.upgrade !== undefined) text += `connection: upgrade\r\nupgrade: ${head.upgrade}\r\n`;
  else if (rendering.connection === 'close') text += 'connection: close\r\n';
  text += forwardedLines(forwarded);
  return { before: text, behind: `${viaLine(head)}${extraLines(rendering.extra)}\r\n` };
}

/** The version in which the request came (RFC 9110 section 7.6.3). */
function viaLine({ version }: HttpRequestHead): string {
  if (version === 11) return `via: 1.1 ${viaName}\r\n`;
  return version === 10 ? `via: 1.0 ${viaName}\r\n` : `via: 2.0 ${viaName}\r\n`;
}

/** What another proxy of this mesh has rendered already: the two of them are one hop. */
export function renderArrivedParts(head: HttpRequestHead): RequestHeadParts {
  const parts: PartsRendering = {
    head,
    authority: head.authority,
    forwarded: { lines: arrivedForwarded(head.fields) },
    keepsTrace: true,
    connection: 'keep-alive',
  };
  return { before: renderRequestParts(parts).before, behind: '\r\n' };
}

/** Written by the caller's own proxy for the pod. */
const forwardedNames = [
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  mirrorField,
] as const;

function arrivedForwarded(fields: Fields): string {
  let text = '';
  for (const name of forwardedNames) {
    for (const value of fields.values(name)) text += fieldLine(name, value);
  }
  return text;
}

/** `x-forwarded-*`; who forwards for one client again and again brings the rendered lines. */
function forwardedLines(forwarded: ForwardedValues | ForwardedLines): string {
  return 'lines' in forwarded ? forwarded.lines : renderForwarded(forwarded);
}

function renderForwarded(values: ForwardedValues): string {
  return (
    fieldLine('x-forwarded-for', values.for) +
    fieldLine('x-forwarded-host', values.host) +
    `x-forwarded-proto: ${values.proto}\r\nx-forwarded-port: ${values.port}\r\n`
  );
}

/** Values of `x-forwarded-*` whose lines are rendered once. */
export class RenderedForwarded implements ForwardedValues, ForwardedLines {
  readonly for: string;
  readonly host: string;
  readonly proto: 'http' | 'https';
  readonly port: number;
  readonly lines: string;

  constructor(values: ForwardedValues) {
    this.for = values.for;
    this.host = values.host;
    this.proto = values.proto;
    this.port = values.port;
    this.lines = renderForwarded(values);
  }
}

function passedRequestFields(rendering: PartsRendering): string {
  const { fields, maxForwards } = rendering.head;
  let text = '';
  let runStart = 0;
  for (let index = 0; index < fields.size; index += 1) {
    if (isPassedUpstream(rendering, index)) {
      if (fields.isPlainAt(index)) continue;
      text += plainRun(fields, runStart, index) + passedLine(fields, index);
    } else {
      text += plainRun(fields, runStart, index);
      if (fields.knownAt(index) === field.te && wantsTrailers(fields.valueAt(index))) {
        text += 'te: trailers\r\n';
      }
    }
    runStart = index + 1;
  }
  text += plainRun(fields, runStart, fields.size);
  if (maxForwards !== undefined) text += `max-forwards: ${Math.max(0, maxForwards - 1)}\r\n`;
  return text;
}

function isPassedUpstream(rendering: PartsRendering, index: number): boolean {
  const { fields, nominated, framing, maxForwards, version } = rendering.head;
  if (!passesUpstream(fields, index, nominated)) return false;
  switch (fields.knownAt(index)) {
    // Meaningless without a chunked body, without HTTP/1.1, or with another trace.
    case field.trailer:
      return framing.kind === 'chunked';
    case field.expect:
      return version !== 10;
    case field.tracestate:
      return rendering.keepsTrace;
    case field.maxForwards:
      return maxForwards === undefined;
    default:
      return true;
  }
}

/** TE is for the next hop only, but for this: we forward trailers, so the pod may send them. */
function wantsTrailers(te: string): boolean {
  return te.toLowerCase().split(',').map(trimWhitespace).includes('trailers');
}

export type ResponseRendering = {
  readonly head: HttpResponseHead;
  /** From `downstreamFraming`. */
  readonly framing: Framing;
  /** `close`: the client's connection ends with this response. */
  readonly connection: 'keep-alive' | 'close';
  /** An HTTP/1.0 client must be told `keep-alive` in words. */
  readonly clientVersion: 10 | 11;
  /** Now, as IMF-fixdate: written when upstream sent no Date (RFC 9110 section 6.6.1). */
  readonly date?: string;
  readonly extra?: ExtraFields;
};

/**
 * How a response's body is framed for this client. A body that ends with the connection becomes
 * chunked for HTTP/1.1, so that its client sees a cut; HTTP/1.0 knows no chunks, so there it must
 * end with the connection (say `connection: 'close'`).
 */
export function downstreamFraming(response: HttpResponseHead, clientVersion: 10 | 11): Framing {
  const { framing } = response;
  if (framing.kind === 'none' || framing.kind === 'length') return framing;
  return clientVersion === 10 ? untilClose : { kind: 'chunked' };
}

/**
 * Head of a final or interim (1xx, 101) response. Where nothing but the head itself decides the
 * text – the client speaks HTTP/1.1 and stays, upstream sent the Date – it is kept with the head.
 */
export function renderResponseHead(rendering: ResponseRendering): string {
  const { head, clientVersion, connection, extra } = rendering;
  const isUsual = clientVersion === 11 && connection === 'keep-alive' && extra === undefined;
  const text = renderResponse(rendering);
  if (isUsual && head.fields.has('date')) head.rendered.text = text;
  return text;
}

function renderResponse(rendering: ResponseRendering): string {
  const { head } = rendering;
  const { fields, nominated } = head;
  const isChunked = rendering.framing.kind === 'chunked';
  let text = `HTTP/1.1 ${head.status} ${head.statusText}\r\n`;
  let runStart = 0;
  for (let index = 0; index < fields.size; index += 1) {
    const isPassed = passesDownstream(fields, index, nominated)
      && (isChunked || fields.knownAt(index) !== field.trailer);
    if (isPassed && fields.isPlainAt(index)) continue;
    text += plainRun(fields, runStart, index);
    if (isPassed) text += passedLine(fields, index);
    runStart = index + 1;
  }
  text += plainRun(fields, runStart, fields.size);
  text += head.status < 200 ? interimLines(head) : finalLines(rendering);
  return `${text}${extraLines(rendering.extra)}\r\n`;
}

function interimLines(head: HttpResponseHead): string {
  return head.upgrade === undefined ? '' : `connection: upgrade\r\nupgrade: ${head.upgrade}\r\n`;
}

function finalLines(rendering: ResponseRendering): string {
  const { head, framing } = rendering;
  let text = '';
  // Content-Length of a HEAD or 304 says what a GET would get; a 204 must not have one.
  if (framing.kind !== 'none') text += framingLine(framing);
  else if (head.contentLength !== undefined && head.status !== 204) {
    text += `content-length: ${head.contentLength}\r\n`;
  }
  if (rendering.connection === 'close') text += 'connection: close\r\n';
  else if (rendering.clientVersion === 10) text += 'connection: keep-alive\r\n';
  if (rendering.date !== undefined && !head.fields.has('date')) {
    text += fieldLine('date', rendering.date);
  }
  return text;
}

/** `<hex size>CRLF`; the data and `chunkEnd` follow. Never for no data: that would end the body. */
export function renderChunkPrefix(bytes: number): string {
  assert(bytes > 0, 'a chunk without data ends the body');
  return `${bytes.toString(16)}\r\n`;
}

export const chunkEnd = '\r\n';

/**
 * `buffer[start, end)` as a whole chunk. It is always framed anew; but where exactly that framing
 * stands around the piece, which is the rule when a chunk came in one read, all is cut out at once.
 */
export function renderChunk(buffer: Buffer, start: number, end: number): string {
  const prefix = renderChunkPrefix(end - start);
  const from = start - prefix.length;
  if (from >= 0 && hasText(buffer, from, prefix) && hasText(buffer, end, chunkEnd)) {
    return latin1Text(buffer, from, end + chunkEnd.length);
  }
  return prefix + latin1Text(buffer, start, end) + chunkEnd;
}

function hasText(buffer: Buffer, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    if (buffer[at + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}

/**
 * The last chunk with trailers; left out are those that may not be trailers and those that
 * Connection of the same message `nominated` (RFC 9110 section 7.6.1 names trailers, too).
 */
export function renderLastChunk(
  trailers: Fields | undefined,
  nominated: ReadonlySet<string>,
): string {
  if (trailers === undefined) return '0\r\n\r\n';
  let text = '0\r\n';
  for (let index = 0; index < trailers.size; index += 1) {
    if (passesAsTrailer(trailers, index, nominated)) text += passedLine(trailers, index);
  }
  return `${text}\r\n`;
}

export type SimpleResponse = {
  readonly status: number;
  /** Value of `weft-reason`; none for answers that are no refusal. */
  readonly reason?: string;
  /** One line; a HEAD request gets its length alone. */
  readonly text: string;
  readonly connection: 'keep-alive' | 'close';
  readonly isHead: boolean;
  /** Now, as IMF-fixdate. */
  readonly date?: string;
  readonly extra?: ExtraFields;
};

/** Reason phrases of what we answer ourselves; a reader must ignore them anyway. */
const statusTexts: ReadonlyMap<number, string> = new Map([
  [200, 'OK'],
  [204, 'No Content'],
  [400, 'Bad Request'],
  [403, 'Forbidden'],
  [404, 'Not Found'],
  [408, 'Request Timeout'],
  [413, 'Content Too Large'],
  [414, 'URI Too Long'],
  [429, 'Too Many Requests'],
  [431, 'Request Header Fields Too Large'],
  [500, 'Internal Server Error'],
  [501, 'Not Implemented'],
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
  [505, 'HTTP Version Not Supported'],
  [508, 'Loop Detected'],
]);

/** A complete response of our own. */
export function renderSimpleResponse(response: SimpleResponse): string {
  // The message goes out as latin1, one byte per character: the length counts characters.
  const body = `${response.text.replace(/[^\x20-\x7e]/g, '?')}\n`;
  let head = `HTTP/1.1 ${response.status} ${statusTexts.get(response.status) ?? ''}\r\n`;
  head += 'content-type: text/plain; charset=utf-8\r\n';
  if (response.reason !== undefined) head += fieldLine('weft-reason', response.reason);
  if (response.date !== undefined) head += fieldLine('date', response.date);
  if (response.connection === 'close') head += 'connection: close\r\n';
  head += extraLines(response.extra);
  if (isBodyless(response.status)) return `${head}\r\n`;
  head += `content-length: ${body.length}\r\n\r\n`;
  return response.isHead ? head : head + body;
}

/** How often this mesh's own entry stands in Via; 8 is a loop (508 `Loop`). */
export function countOwnVia(fields: Fields): number {
  let count = 0;
  for (const value of fields.values('via')) {
    for (const member of value.split(',')) {
      // received-protocol RWS received-by [ RWS comment ]
      const [, receivedBy] = trimWhitespace(member).split(/[ \t]+/);
      if (receivedBy?.toLowerCase() === viaName) count += 1;
    }
  }
  return count;
}

/** Lines that stand in the text as they are to be written, in one piece. */
function plainRun(fields: Fields, from: number, to: number): string {
  return from === to ? '' : fields.plainLines(from, to);
}

function passedLine(fields: Fields, index: number): string {
  return `${fields.nameAt(index)}: ${fields.valueAt(index)}\r\n`;
}

function framingLine(framing: Framing): string {
  if (framing.kind === 'length') return `content-length: ${framing.length}\r\n`;
  return framing.kind === 'chunked' ? 'transfer-encoding: chunked\r\n' : '';
}

function extraLines(extra: ExtraFields | undefined): string {
  if (extra === undefined) return '';
  let text = '';
  for (const [name, value] of extra) {
    assert(isToken(name), 'field name is no token');
    text += fieldLine(name, value);
  }
  return text;
}

function fieldLine(name: string, value: string): string {
  assert(isFieldValue(value), 'field value holds a control byte');
  return `${name}: ${value}\r\n`;
}
