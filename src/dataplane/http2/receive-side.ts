// The windows that a session opens for its peer. Nothing is granted ahead: the window of a stream
// and that of the connection grow by what users say that they have passed on, in steps of half a
// window, because each update is a frame to write here and to read there.
// Where the connection's window holds those of all its streams, streams that nobody reads hold up
// no other: what is passed on and not yet granted never is as much as the window of one stream.
import type { FrameWriter } from './frame-writer.ts';
import type { SessionLimits } from './limits.ts';
import type { Http2Stream } from './stream.ts';

export class ReceiveSide<User> {
  readonly #writer: FrameWriter;
  readonly #limits: SessionLimits;
  /** Of the connection. */
  readonly #stepBytes: number;
  #window: number;
  #ungranted = 0;

  constructor(writer: FrameWriter, limits: SessionLimits) {
    this.#writer = writer;
    this.#limits = limits;
    this.#window = limits.connectionWindowBytes;
    this.#stepBytes = stepBytesOf(limits);
  }

  /** So many bytes come; false: the peer had no window for them. */
  take(bytes: number): boolean {
    this.#window -= bytes;
    return this.#window >= 0;
  }

  /** The same for a stream, which holds them until it says that they were passed on. */
  takeOf(stream: Http2Stream<User>, bytes: number): boolean {
    stream.receiveWindow -= bytes;
    stream.unconsumed += bytes;
    return stream.receiveWindow >= 0;
  }

  grant(bytes: number): void {
    this.#ungranted += bytes;
    if (this.#ungranted < this.#stepBytes) return;
    this.#writer.windowUpdate(0, this.#ungranted);
    this.#window += this.#ungranted;
    this.#ungranted = 0;
  }

  /** The stream has passed them on. */
  grantOf(stream: Http2Stream<User>, bytes: number): void {
    stream.unconsumed -= bytes;
    this.grant(bytes);
    // Who has sent everything needs no window.
    if (stream.hasEnded) return;
    stream.ungranted += bytes;
    if (stream.ungranted < this.#limits.streamWindowBytes / 2) return;
    this.#writer.windowUpdate(stream.id, stream.ungranted);
    stream.receiveWindow += stream.ungranted;
    stream.ungranted = 0;
  }

  /** What a stream that is gone held is nobody's any more. */
  release(stream: Http2Stream<User>): void {
    this.grant(stream.unconsumed);
    stream.unconsumed = 0;
  }
}

function stepBytesOf(limits: SessionLimits): number {
  const { streamsMax, streamWindowBytes, connectionWindowBytes } = limits;
  const holdsAll = connectionWindowBytes >= streamsMax * streamWindowBytes;
  const half = connectionWindowBytes / 2;
  return holdsAll ? Math.min(half, streamWindowBytes) : half;
}
