// The way of an answer to the client: head, body, trailers, re-framed for the client's version and
// under back-pressure. It knows nothing of attempts; once `hasBegun`, nothing may be retried.
import type { Client } from './client.ts';
import type { Counts, Engine } from './engine.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import {
  chunkEnd,
  downstreamFraming,
  renderChunkPrefix,
  renderLastChunk,
  renderResponseHead,
  renderSimpleResponse,
} from './http1/serialise.ts';
import type { Reason } from './refusals.ts';

export type OwnAnswer = {
  readonly status: number;
  readonly reason: Reason | undefined;
  readonly text: string;
  readonly closes: boolean;
};

export class AnswerWriter {
  readonly #client: Client;
  readonly #counts: Counts;
  readonly #httpDate: () => string;
  readonly #request: HttpRequestHead;
  #isChunked = false;
  #waitingBytes = 0;
  /** 0 until an answer begins. */
  status = 0;
  bytes = 0;
  hasBegun = false;
  /** A 1xx went out: that is a byte of the answer, too. */
  hasInterim = false;
  /** The head said that the connection ends with this answer. */
  closes = false;

  constructor(client: Client, engine: Engine, request: HttpRequestHead) {
    this.#client = client;
    this.#counts = engine.counts;
    this.#httpDate = engine.httpDate;
    this.#request = request;
  }

  interim(head: HttpResponseHead): void {
    this.hasInterim = true;
    this.#writeHead(head, 'keep-alive');
  }

  begin(head: HttpResponseHead, closes: boolean): void {
    const framing = downstreamFraming(head, this.#request.version);
    this.hasBegun = true;
    this.status = head.status;
    this.closes = closes || framing.kind === 'until-close';
    this.#isChunked = framing.kind === 'chunked';
    this.#writeHead(head, this.closes ? 'close' : 'keep-alive');
  }

  /** False: the client has to take what it got before more is read from upstream. */
  data(piece: Buffer): boolean {
    this.bytes += piece.length;
    const client = this.#client;
    client.cork();
    if (this.#isChunked) client.write(renderChunkPrefix(piece.length));
    let isFlowing = client.write(piece);
    if (this.#isChunked) isFlowing = client.write(chunkEnd);
    if (!isFlowing) this.#countWaiting(client.unsentBytes);
    return isFlowing;
  }

  end(trailers: Fields | undefined): void {
    if (!this.#isChunked) return;
    this.#client.cork();
    this.#client.write(renderLastChunk(trailers));
  }

  /** A whole answer of our own. */
  own(answer: OwnAnswer): void {
    this.hasBegun = true;
    this.status = answer.status;
    this.closes = answer.closes;
    const text = renderSimpleResponse({
      status: answer.status,
      ...(answer.reason === undefined ? {} : { reason: answer.reason }),
      text: answer.text,
      connection: answer.closes ? 'close' : 'keep-alive',
      isHead: this.#request.method === 'HEAD',
      date: this.#httpDate(),
    });
    this.bytes += answer.text.length;
    this.#client.write(text);
  }

  /** What waited for the client has gone, or nobody waits any more. Idempotent. */
  clearWaiting(): void {
    this.#countWaiting(0);
  }

  #countWaiting(bytes: number): void {
    this.#counts.bufferedBytes += bytes - this.#waitingBytes;
    this.#waitingBytes = bytes;
  }

  #writeHead(head: HttpResponseHead, connection: 'keep-alive' | 'close'): void {
    const clientVersion = this.#request.version;
    const framing = downstreamFraming(head, clientVersion);
    this.#client.cork();
    const date = this.#httpDate();
    const rendering = { head, framing, connection, clientVersion, date };
    this.#client.write(renderResponseHead(rendering));
  }
}
