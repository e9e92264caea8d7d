// Writes message heads from their parsed form, never by copying what a peer sent: fields that
// belong to one connection are left out (RFC 9110 section 7.6.1), framing and Connection are made
// anew, and nothing that could not be parsed can be written. Text is latin1: write it with
// `socket.write(text, 'latin1')`.
import type { Fields } from './fields.ts';
import type { Framing, RequestFraming } from './framing.ts';
import type { HttpRequestHead } from './request-head.ts';
import type { HttpResponseHead } from './response-head.ts';

/** Values of `x-forwarded-*`, already decided (replaced, or appended for a trusted source). */
export type ForwardedValues = {
  readonly for: string;
  readonly host: string;
  readonly proto: 'http' | 'https';
  readonly port: number;
};

export type RequestRendering = {
  readonly head: HttpRequestHead;
  /** Host that the pod sees. */
  readonly authority: string;
  readonly forwarded: ForwardedValues;
  readonly requestId: string;
  /** When it is not the one that the client sent, the client's `tracestate` is dropped too. */
  readonly traceparent: string;
  /** `close`: tell upstream that the connection is not used again. */
  readonly connection: 'keep-alive' | 'close';
  /** Fields of our own (tunnel fields), written last; lower-case names. */
  readonly extra?: readonly (readonly [string, string])[];
};

export declare function renderRequestHead(rendering: RequestRendering): string;

export type ResponseRendering = {
  readonly head: HttpResponseHead;
  /** From `downstreamFraming`. */
  readonly framing: Framing;
  /** `close`: the client's connection ends with this response. */
  readonly connection: 'keep-alive' | 'close';
  /** An HTTP/1.0 client must be told `keep-alive` in words. */
  readonly clientVersion: 10 | 11;
  readonly extra?: readonly (readonly [string, string])[];
};

/** How a response's body is framed for this client: `until-close` becomes chunked in 1.1. */
export declare function downstreamFraming(
  response: HttpResponseHead,
  clientVersion: 10 | 11,
): Framing;

/** Head of a final or interim (1xx, 101) response. */
export declare function renderResponseHead(rendering: ResponseRendering): string;

/** `<hex size>CRLF`; data and `chunkEnd` follow. Never for an empty range: that would end the body. */
export declare function renderChunkPrefix(bytes: number): string;
export declare const chunkEnd: string;
/** The last chunk with trailers (forbidden ones are left out, RFC 9110 section 6.5.1). */
export declare function renderLastChunk(trailers: Fields | undefined): string;

export type SimpleResponse = {
  readonly status: number;
  /** Value of `weft-reason`; none for answers that are no refusal. */
  readonly reason?: string;
  /** One line of text; a HEAD request gets its length alone. */
  readonly text: string;
  readonly connection: 'keep-alive' | 'close';
  readonly isHead: boolean;
  readonly extra?: readonly (readonly [string, string])[];
};

/** A complete response of our own. */
export declare function renderSimpleResponse(response: SimpleResponse): string;

export declare const continueResponse: string;

/** How often this mesh's own entry stands in Via; 8 is a loop (508 `Loop`). */
export declare function countOwnVia(fields: Fields): number;

export type { RequestFraming };
