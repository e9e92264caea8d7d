// What a session sends of its streams: heads, data and ends, under the windows of the peer and what
// the transport takes. What cannot leave waits in its stream; streams that only the connection
// holds up take turns of one frame each, so that none starves another.
import type { FloodGuard } from './flood-guard.ts';
import { errorCode, frameBytesMax, frameHeadBytes } from './frames.ts';
import type { FrameWriter } from './frame-writer.ts';
import { HpackEncoder, RecentLists } from './hpack-encoder.ts';
import type { HeaderField } from './hpack-table.ts';
import { initialWindowBytes, unsentBytesMax, windowBytesMax } from './limits.ts';
import type { StreamIndex } from './stream-index.ts';
import type { Http2Stream } from './stream.ts';

/**
 * Both windows are opened once per frame by most peers, and by Go's again and again while an
 * application reads a frame in small pieces, in steps of 4 kB. Who makes us send pieces that are
 * smaller than this, because the windows allow no more, is paid nothing for it.
 */
const windowsPerFrame = 2;
const windowStepBytes = 1_024;
const smallFrameBytes = 256;

/** With its head a full frame is just one record of TLS (16 KiB), and is read as one. */
const dataBytesMax = frameBytesMax - frameHeadBytes;

export type SendSideOptions<User> = {
  readonly isServer: boolean;
  readonly writer: FrameWriter;
  readonly guard: FloodGuard;
  readonly streams: Pick<StreamIndex<User>, 'values'>;
  /** Everything that was queued has left. */
  readonly drained: (stream: Http2Stream<User>) => void;
};

export class SendSide<User> {
  readonly #options: SendSideOptions<User>;
  readonly #encoder: HpackEncoder;
  /** Streams that only the connection holds up; the next one first. */
  readonly #waiting = new Set<Http2Stream<User>>();
  #window = initialWindowBytes;
  /** What the window of a new stream is. */
  #streamWindow = initialWindowBytes;

  constructor(options: SendSideOptions<User>) {
    this.#options = options;
    // What we ask a pod comes from many clients, each with a list of its own.
    this.#encoder = new HpackEncoder(options.isServer ? new RecentLists() : new WeakMap());
  }

  get streamWindow(): number {
    return this.#streamWindow;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(bytes: number): void {
    this.#encoder.limitTable(bytes);
  }

  head(stream: Http2Stream<User>, fields: readonly HeaderField[]): void {
    this.#options.writer.headers(stream.id, fields, this.#encoder);
  }

  /** How many of the bytes could leave. */
  data(stream: Http2Stream<User>, buffer: Buffer, start: number, end: number): number {
    const { writer, guard } = this.#options;
    let at = start;
    while (at < end && stream.sendWindow > 0 && this.#takesData()) {
      const window = Math.min(stream.sendWindow, this.#window, dataBytesMax);
      const bytes = Math.min(end - at, window);
      writer.data(stream.id, buffer, at, at + bytes);
      stream.sendWindow -= bytes;
      this.#window -= bytes;
      at += bytes;
      // Peers measure the way about once per frame.
      guard.earn('ping', 1);
      if (bytes >= smallFrameBytes || at === end) {
        guard.earn('window', windowsPerFrame + Math.floor(bytes / windowStepBytes));
      }
    }
    if (at < end && stream.sendWindow > 0) this.#waiting.add(stream);
    return at - start;
  }

  end(stream: Http2Stream<User>, trailers: readonly HeaderField[] | undefined): void {
    if (trailers !== undefined) this.head(stream, trailers);
    this.#options.writer.end(stream.id);
  }

  forget(stream: Http2Stream<User>): void {
    this.#waiting.delete(stream);
  }

  /** WINDOW_UPDATE of the connection; the error that it is, or undefined. */
  openConnection(bytes: number): number | undefined {
    if (bytes === 0) return errorCode.protocolError;
    this.#window += bytes;
    if (this.#window > windowBytesMax) return errorCode.flowControlError;
    this.pumpAll();
    return undefined;
  }

  openStream(stream: Http2Stream<User>, bytes: number): number | undefined {
    if (bytes === 0) return errorCode.protocolError;
    stream.sendWindow += bytes;
    if (stream.sendWindow > windowBytesMax) return errorCode.flowControlError;
    if (stream.isSendable) this.#waiting.add(stream);
    this.pumpAll();
    return undefined;
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE moves the windows of all streams, below zero as well. */
  moveWindows(bytes: number): number | undefined {
    const change = bytes - this.#streamWindow;
    const { streams } = this.#options;
    this.#streamWindow = bytes;
    for (const stream of streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > windowBytesMax) return errorCode.flowControlError;
    }
    for (const stream of streams.values()) if (stream.isSendable) this.#waiting.add(stream);
    this.pumpAll();
    return undefined;
  }

  /** A frame of each stream in turn, as long as the connection takes them. */
  pumpAll(): void {
    for (const stream of this.#waiting) {
      if (!this.#takesData()) return;
      // It is added again behind the others, and this loop comes by once more.
      this.#waiting.delete(stream);
      this.#pump(stream);
    }
  }

  #pump(stream: Http2Stream<User>): void {
    stream.pump(dataBytesMax);
    // Also where the end of the message has just left: whoever waits is to be told.
    if (stream.isClosed) return;
    if (stream.isSendable) this.#waiting.add(stream);
    else if (!stream.isFull) this.#options.drained(stream);
  }

  #takesData(): boolean {
    return this.#window > 0 && this.#options.writer.waitingBytes < unsentBytesMax;
  }
}
