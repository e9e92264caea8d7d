// The answer to a client that speaks HTTP/1.x: head, body, trailers, re-framed for the client's
// version and under back-pressure. It knows nothing of attempts. What is small is joined into one
// text and leaves in one write when `flush` says so; a long piece is written as it is, uncopied.
import type { Answer, OwnAnswer } from './answer.ts';
import type { Client } from './client.ts';
import { chunkHalves, interimHalves } from './departure-probe.ts';
import type { ProbeHalves } from './departure-probe.ts';
import type { Engine } from './engine.ts';
import { flatText, latin1Text } from './http1/bytes.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import {
  chunkEnd,
  downstreamFraming,
  renderChunk,
  renderChunkPrefix,
  renderLastChunk,
  renderResponseHead,
  renderSimpleResponse,
} from './http1/serialise.ts';
import { joinBytesMax, writable } from './read-buffers.ts';
import type { Reason } from './refusals.ts';
import { refusalText } from './refusals.ts';
import type { RequestBody } from './request-body.ts';
import { tunnelRefusalFields } from './tunnel-fields.ts';

/** Below it, joining two short texts costs less than another call. */
const joinedInFrontMin = 2 * 1024;

const noNames: ReadonlySet<string> = new Set<string>([]);

export class Http1Answer implements Answer {
  readonly #client: Client;
  readonly #engine: Engine;
  readonly #request: HttpRequestHead;
  #isChunked = false;
  /** Names that the answer's Connection lists. */
  #nominated: ReadonlySet<string> = noNames;
  #waitingBytes = 0;
  /** Rendered, not written yet; latin1. */
  #text = '';
  readonly protocol = 'http/1.1';
  /** gRPC is spoken over HTTP/2 only. */
  readonly grpcStatus = undefined;
  status = 0;
  bytes = 0;
  hasBegun = false;
  hasInterim = false;
  /** The head said that the connection ends with this answer. */
  closes = false;

  constructor(client: Client, engine: Engine, request: HttpRequestHead) {
    this.#client = client;
    this.#engine = engine;
    this.#request = request;
  }

  interim(head: HttpResponseHead): void {
    // RFC 9110 15.2: never to 1.0 clients; a 100 that nobody waits for says nothing.
    if (this.#request.version === 10) return;
    if (head.status === 100 && !this.#request.expectsContinue) return;
    this.hasInterim = true;
    this.#writeHead(head, 'keep-alive');
  }

  closesAfterOwn(body: RequestBody): boolean {
    const isSkippable = body.isComplete || this.#client.canSkipBody;
    return !isSkippable || this.#closesForClient() || this.#request.version === 10;
  }

  /** A request that goes on while its answer begins may never end: the connection is not kept. */
  closesAfterAnswer(body: RequestBody): boolean {
    return !body.isComplete || this.#closesForClient();
  }

  begin(head: HttpResponseHead, closes: boolean): void {
    const framing = downstreamFraming(head, this.#clientVersion);
    this.hasBegun = true;
    this.status = head.status;
    this.closes = closes || framing.kind === 'until-close';
    this.#isChunked = framing.kind === 'chunked';
    this.#nominated = head.nominated;
    this.#writeHead(head, this.closes ? 'close' : 'keep-alive');
  }

  data(buffer: Buffer, start: number, end: number): void {
    const isFirst = this.bytes === 0;
    this.bytes += end - start;
    if (end - start > joinBytesMax) this.#writePiece(buffer, start, end);
    else if (!isFirst || !this.#joinInFront(buffer, start, end)) {
      this.#text += this.#isChunked
        ? renderChunk(buffer, start, end)
        : latin1Text(buffer, start, end);
    }
    if (this.#text.length > joinBytesMax) this.#writeText();
  }

  /** A long piece leaves as it is, together with what goes before it. */
  #writePiece(buffer: Buffer, start: number, end: number): void {
    if (this.#isChunked) this.#text += renderChunkPrefix(end - start);
    this.#client.cork();
    this.#writeText();
    this.#client.write(writable(buffer, start, end));
    if (this.#isChunked) this.#text += chunkEnd;
  }

  /**
   * The head in front of the first piece of the body, as one text, where it was read: cheaper than
   * joining two texts, for each of which the piece would be copied once more. What lies in front of
   * that piece is the head that was parsed, and nobody's any more; later pieces have bytes in front
   * of them that may still be on their way.
   */
  #joinInFront(buffer: Buffer, start: number, end: number): boolean {
    if (end - start < joinedInFrontMin) return false;
    const prefix = this.#isChunked ? renderChunkPrefix(end - start) : '';
    const text = this.#text + prefix;
    if (text.length > start) return false;
    buffer.write(text, start - text.length, 'latin1');
    this.#text = latin1Text(buffer, start - text.length, end);
    if (this.#isChunked) this.#text += chunkEnd;
    return true;
  }

  end(trailers: Fields | undefined): void {
    if (this.#isChunked) this.#text += renderLastChunk(trailers, this.#nominated);
  }

  flush(): boolean {
    this.#writeText();
    this.#client.flush();
    const isFlowing = !this.#client.isFull;
    if (!isFlowing) this.#countWaiting(this.#client.unsentBytes);
    return isFlowing;
  }

  own(answer: OwnAnswer): void {
    this.hasBegun = true;
    this.status = answer.status;
    this.closes = answer.closes;
    const { reason, isUnsent } = answer;
    const isRefusal = reason !== undefined && this.#engine.answersTunnels;
    const extra = isRefusal ? [...tunnelRefusalFields({ reason, isUnsent })] : [];
    if (answer.retryAfterS !== undefined) extra.push(['retry-after', `${answer.retryAfterS}`]);
    const text = renderSimpleResponse({
      status: answer.status,
      ...(reason === undefined ? {} : { reason }),
      ...(extra.length > 0 ? { extra } : {}),
      text: answer.text,
      connection: answer.closes ? 'close' : 'keep-alive',
      isHead: this.#request.method === 'HEAD',
      date: this.#engine.httpDate(),
    });
    this.bytes += answer.text.length;
    this.#text += text;
    this.flush();
  }

  /** Nothing can be said behind the beginning of an answer: the cut tells. */
  breakOff(): void {}

  get probeHalves(): ProbeHalves | undefined {
    if (this.#request.version === 10) return undefined;
    if (!this.hasBegun) return interimHalves;
    return this.#isChunked ? chunkHalves : undefined;
  }

  clearWaiting(): void {
    this.#countWaiting(0);
  }

  get #clientVersion(): 10 | 11 {
    return this.#request.version === 10 ? 10 : 11;
  }

  #closesForClient(): boolean {
    const { isDraining } = this.#engine;
    return !this.#request.isKeepAlive || isDraining || this.#client.isLeaving;
  }

  #writeText(): void {
    if (this.#text === '') return;
    this.#client.write(this.#text);
    this.#text = '';
  }

  #countWaiting(bytes: number): void {
    this.#engine.counts.bufferedBytes += bytes - this.#waitingBytes;
    this.#waitingBytes = bytes;
  }

  #writeHead(head: HttpResponseHead, connection: 'keep-alive' | 'close'): void {
    const clientVersion = this.#clientVersion;
    const { rendered: known } = head;
    if (known.text !== undefined && clientVersion === 11 && connection === 'keep-alive') {
      // It came again, and may once more.
      if (!known.isFlat) known.text = flatText(known.text);
      known.isFlat = true;
      this.#text += known.text;
      return;
    }
    const framing = downstreamFraming(head, clientVersion);
    const date = this.#engine.httpDate();
    const rendering = { head, framing, connection, clientVersion, date };
    this.#text += renderResponseHead(rendering);
  }
}

/** A refusal without an exchange, after which the connection closes. */
export function renderFinalRefusal(engine: Engine, reason: Reason, status: number): string {
  return renderSimpleResponse({
    status,
    reason,
    text: refusalText(reason, undefined),
    ...(engine.answersTunnels ? { extra: tunnelRefusalFields({ reason, isUnsent: true }) } : {}),
    connection: 'close',
    isHead: false,
    date: engine.httpDate(),
  });
}
