// The answer to a copy, which nobody gets: it is read to its end, so that its connection can serve
// the next copy, and forgotten. Only what became of it is kept.
import type { Answer, OwnAnswer } from './answer.ts';
import type { Reason } from './refusals.ts';
import type { HttpResponseHead } from './http1/response-head.ts';

export class MirrorAnswer implements Answer {
  readonly protocol = 'http/1.1';
  readonly grpcStatus = undefined;
  readonly hasInterim = false;
  readonly closes = false;
  readonly probeHalves = undefined;
  status = 0;
  bytes = 0;
  hasBegun = false;
  /** All of it has come, from a pod. */
  isWhole = false;
  readonly #bytesMax: number;
  readonly #tooLong: () => void;

  /** `tooLong` is told once, behind the piece that is too much. */
  constructor(bytesMax: number, tooLong: () => void) {
    this.#bytesMax = bytesMax;
    this.#tooLong = tooLong;
  }

  closesAfterOwn(): boolean {
    return false;
  }

  closesAfterAnswer(): boolean {
    return false;
  }

  interim(): void {}

  begin({ status }: HttpResponseHead): void {
    this.hasBegun = true;
    this.status = status;
  }

  data(_: Buffer, start: number, end: number): void {
    this.bytes += end - start;
  }

  end(): void {
    this.isWhole = true;
  }

  flush(): boolean {
    if (this.bytes > this.#bytesMax && !this.isWhole) this.#tooLong();
    return true;
  }

  own({ status }: OwnAnswer): void {
    this.hasBegun = true;
    this.status = status;
  }

  breakOff(_: Reason): void {}

  clearWaiting(): void {}
}
