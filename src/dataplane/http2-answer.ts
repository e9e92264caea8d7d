// The answer on one stream of HTTP/2: head, body and trailers as frames, under the flow control of
// the stream. The session writes what may leave at once and queues copies of what may not; what we
// refuse ourselves is said to a gRPC client in the words of gRPC.
import type { Answer, OwnAnswer } from './answer.ts';
import type { Engine } from './engine.ts';
import { grpcRefusal, grpcStatusIn, grpcStatusOf, isGrpc } from './grpc.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { isBodyless } from './http1/response-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import { trailerLines } from './http2-fields.ts';
import { http2Response, ownResponse } from './http2-response.ts';
import type { HeaderField } from './http2/hpack-table.ts';
import { WaitingBytes } from './pending-bytes.ts';
import type { BytesCount } from './pending-bytes.ts';
import type { Reason } from './refusals.ts';

const noNames: ReadonlySet<string> = new Set<string>([]);

/** What is used of a stream to answer on it. */
export type AnswerStream = {
  readonly isFull: boolean;
  readonly unsentBytes: number;
  sendHeaders(fields: readonly HeaderField[]): void;
  sendData(buffer: Buffer, start: number, end: number): boolean;
  end(trailers?: readonly HeaderField[]): void;
};

export class Http2Answer implements Answer {
  readonly #stream: AnswerStream;
  readonly #engine: Engine;
  readonly #counts: BytesCount;
  readonly #request: HttpRequestHead;
  /** Made when something has to wait. */
  #waiting: WaitingBytes | undefined;
  #nominated = noNames;
  status = 0;
  bytes = 0;
  hasBegun = false;
  hasInterim = false;
  /** It was broken off in words: the stream need not be reset. */
  isToldBroken = false;
  /** A stream never ends its connection. */
  readonly closes = false;
  /** The peer says itself when it wants no answer any more. */
  readonly probeHalves = undefined;
  readonly protocol = 'http/2';
  grpcStatus: number | 'unknown' | undefined;

  readonly #isGrpc: boolean;

  constructor(
    stream: AnswerStream,
    engine: Engine,
    request: HttpRequestHead,
    counts: BytesCount = engine.counts,
  ) {
    this.#stream = stream;
    this.#engine = engine;
    this.#counts = counts;
    this.#request = request;
    this.#isGrpc = isGrpc(request.fields);
    this.grpcStatus = this.#isGrpc ? 'unknown' : undefined;
  }

  closesAfterOwn(): boolean {
    return false;
  }

  /** Both directions of a stream are independent: its answer may begin and end at any time. */
  closesAfterAnswer(): boolean {
    return false;
  }

  interim(head: HttpResponseHead): void {
    if (head.status === 100 && !this.#request.expectsContinue) return;
    this.hasInterim = true;
    this.#stream.sendHeaders(http2Response(head, ''));
  }

  begin(head: HttpResponseHead): void {
    this.hasBegun = true;
    this.status = head.status;
    this.#nominated = head.nominated;
    this.#takeStatus(head.fields);
    this.#stream.sendHeaders(http2Response(head, this.#engine.httpDate()));
  }

  data(buffer: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    this.#stream.sendData(buffer, start, end);
  }

  end(trailers: Fields | undefined): void {
    if (trailers === undefined || trailers.size === 0) {
      this.#stream.end();
      return;
    }
    this.#takeStatus(trailers);
    this.#stream.end(trailerLines(trailers, this.#nominated));
  }

  flush(): boolean {
    const { isFull, unsentBytes } = this.#stream;
    if (isFull) this.#waiting ??= new WaitingBytes(this.#counts);
    this.#waiting?.set(unsentBytes);
    return !isFull;
  }

  own({ status, reason, text, retryAfterS }: OwnAnswer): void {
    this.hasBegun = true;
    const date = this.#engine.httpDate();
    if (reason !== undefined && this.#isGrpc) {
      this.status = 200;
      this.grpcStatus = grpcStatusOf(reason, status);
      this.#stream.sendHeaders(grpcRefusal({ reason, status, text, date, retryAfterS }));
      this.#stream.end();
      return;
    }
    this.status = status;
    // One that somebody has asked for may be one that has no body (`fault`).
    const said = isBodyless(status) ? '' : `${text.replace(/[^\x20-\x7e]/g, '?')}\n`;
    const body = Buffer.from(said, 'latin1');
    this.#stream.sendHeaders(ownResponse({ status, reason, date, retryAfterS }, body.length));
    if (this.#request.method !== 'HEAD') this.#stream.sendData(body, 0, body.length);
    this.bytes += body.length;
    this.#stream.end();
  }

  /** A gRPC client is told why; everybody else sees the stream reset. */
  breakOff(reason: Reason): void {
    if (!this.#isGrpc) return;
    this.isToldBroken = true;
    this.grpcStatus = grpcStatusOf(reason);
    this.#stream.end([
      { name: 'grpc-status', value: String(this.grpcStatus) },
      { name: 'grpc-message', value: `weft: broken off (${reason})` },
    ]);
  }

  #takeStatus(fields: Fields): void {
    if (this.#isGrpc) this.grpcStatus = grpcStatusIn(fields) ?? this.grpcStatus;
  }

  clearWaiting(): void {
    this.#waiting?.set(0);
  }
}
