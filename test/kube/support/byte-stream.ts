// A body that a test feeds: chunks now or later, then an end or an error.
// Bounded by nothing: a test knows how much it pushes.

export class ByteStream implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;
  readonly #onLeave: () => void;

  /** `onLeave`: the reader has gone, for whatever reason. */
  constructor(onLeave: () => void = () => undefined) {
    this.#onLeave = onLeave;
  }

  push(text: string): void {
    this.#chunks.push(Buffer.from(text));
    this.#wake?.();
  }

  end(): void {
    this.#end ??= { error: undefined };
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) yield chunk;
        else if (this.#end === undefined) await this.#more();
        else break;
      }
      if (this.#end.error !== undefined) throw this.#end.error;
    } finally {
      this.#onLeave();
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
