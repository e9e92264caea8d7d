// Cuts the bytes of one connection into requests: a head, then its body, then the next head. It
// decides nothing: who takes the requests says when the next head may be looked at. Invariant:
// nothing behind a reject is ever parsed, because its taker closes.
import type { BodyDecoder } from './http1/body-decoder.ts';
import { createBodyDecoder } from './http1/body-decoder.ts';
import type { Fields } from './http1/fields.ts';
import type { HeadLimits } from './http1/limits.ts';
import type { Reject } from './http1/reject.ts';
import type { HttpRequestHead, RequestHeadOptions } from './http1/request-head.ts';
import { RequestHeadParser } from './http1/request-head.ts';
import type { RequestIds } from './http1/serialise.ts';
import { discardBytesMax } from './limits.ts';

export type RequestTaker = {
  /** `ids`: of a head that was recognised but for them. */
  requestBegan(head: HttpRequestHead, isBodyComplete: boolean, ids: RequestIds | undefined): void;
  bodyArrived(buffer: Buffer, start: number, end: number): void;
  bodyEnded(trailers: Fields | undefined): void;
  /** These bytes are no request. */
  headRejected(reject: Reject): void;
  /** The message must not be completed for the pod. */
  bodyRejected(reject: Reject | undefined): void;
};

export class RequestIntake {
  readonly #taker: RequestTaker;
  readonly #limits: HeadLimits;
  readonly #parser: RequestHeadParser;
  /** Of a request body that has not ended yet, whether somebody still wants it or not. */
  #decoder: BodyDecoder | undefined;
  #head: HttpRequestHead | undefined;

  constructor(taker: RequestTaker, options: RequestHeadOptions) {
    this.#taker = taker;
    this.#limits = options.limits;
    this.#parser = new RequestHeadParser(options);
  }

  get hasPartialHead(): boolean {
    return this.#parser.hasPartialHead;
  }

  /** The client may send this very head again, and it will be the same object. */
  remembers(head: HttpRequestHead): boolean {
    return this.#parser.remembers(head);
  }

  /** More of the last request's body is due. */
  get isInBody(): boolean {
    return this.#decoder !== undefined;
  }

  /** Of the last request. */
  get head(): HttpRequestHead | undefined {
    return this.#head;
  }

  /** A client that waits for 100 may or may not send the body after a refusal: nobody can tell. */
  get canSkipBody(): boolean {
    const head = this.#head;
    if (this.#decoder === undefined || head === undefined) return true;
    if (head.framing.kind !== 'length' || head.expectsContinue) return false;
    return head.framing.length <= discardBytesMax;
  }

  /** Its exchange is over. */
  forgetHead(): void {
    if (this.#decoder === undefined) this.#head = undefined;
  }

  /** The rest of the body is nobody's. */
  forgetBody(): void {
    this.#decoder = undefined;
  }

  /** Where to go on in the buffer; negative when there is no more to do with it. */
  step(buffer: Buffer, at: number, end: number): number {
    if (this.#decoder !== undefined) return this.#stepBody(this.#decoder, buffer, at, end);
    const result = this.#parser.parse(buffer, at, end);
    switch (result.kind) {
      case 'incomplete':
        return -1;
      case 'reject':
        this.#taker.headRejected(result);
        return -1;
      case 'head':
        this.#begin(result.head, result.ids);
        return result.end;
    }
  }

  #begin(head: HttpRequestHead, ids: RequestIds | undefined): void {
    this.#head = head;
    const { framing } = head;
    const isEmpty = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
    if (!isEmpty) {
      this.#decoder = createBodyDecoder(framing, {
        limits: this.#limits,
        headBytes: head.bytes,
        headFields: head.fields.size,
      });
    }
    this.#taker.requestBegan(head, isEmpty, ids);
  }

  #stepBody(decoder: BodyDecoder, buffer: Buffer, at: number, end: number): number {
    switch (decoder.advance(buffer, at, end)) {
      case 'data':
        this.#taker.bodyArrived(buffer, decoder.dataStart, decoder.dataEnd);
        return decoder.position;
      case 'end':
        this.#decoder = undefined;
        this.#taker.bodyEnded(decoder.trailers);
        return decoder.position;
      case 'incomplete':
        return -1;
      case 'reject':
        this.#taker.bodyRejected(decoder.reject);
        return -1;
    }
  }
}
