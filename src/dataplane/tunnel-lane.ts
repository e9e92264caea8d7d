// A connection of HTTP/1.1 between two proxies that has no TLS of its own (docs/design/0013): one
// CONNECT stream (RFC 9113 section 8.5) of a session that many of them share, used as any other
// socket is. It is open as soon as it is made. END_STREAM stands for FIN, RST_STREAM for RST, and
// the window of the stream opens as what was read has been passed on.
// Long bodies are gathered: records bring 16 KB each, and the reader gets all that one turn brought
// in its own buffer, as from a read of the kernel.
// Invariant: `close` is told once, last.
import type { NetworkSocket, SocketReader } from '../lib/network.ts';
import type { HeaderField } from './http2/hpack-table.ts';
import { errorCode } from './http2/frames.ts';
import type { Http2Stream } from './http2/stream.ts';
import { isShared, joinBytesMax, longReadBytes } from './read-buffers.ts';
import type { CarriedStream } from './tunnel-session.ts';
import type { TurnEnd } from './turn-end.ts';

const noop = (): void => undefined;
/** It names no pod: each request in it does. */
export const laneHead: readonly HeaderField[] = [
  { name: ':method', value: 'CONNECT' },
  { name: ':authority', value: 'lane' },
];
const accepted: readonly HeaderField[] = [{ name: ':status', value: '200' }];

/** Texts are written here on their way into a frame; a longer one gets a buffer of its own. */
const textBytesMax = 32 * 1024;
const textBuffer = Buffer.allocUnsafeSlow(textBytesMax);

type Stream = Http2Stream<TunnelLane>;

export class TunnelLane implements NetworkSocket, CarriedStream<TunnelLane> {
  destroyed = false;
  errored: Error | null = null;
  /** The peer has given it no place: nothing that was sent on it was looked at. */
  isUnread = false;
  readonly #turnEnd: TurnEnd;
  #stream: Stream | undefined;
  #reader: SocketReader | undefined;
  #isCorked = false;
  /** Corked. */
  #text = '';
  #isPaused = false;
  #unpassedBytes = 0;
  /** The reader's own buffer, and how much of it this turn has filled. */
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  #ended = noop;
  #drained = noop;
  #closed = noop;
  readonly #turnEnded = (): void => this.#deliver();

  constructor(turnEnd: TurnEnd) {
    this.#turnEnd = turnEnd;
  }

  get writableLength(): number {
    return this.#stream?.unsentBytes ?? 0;
  }

  get writableNeedDrain(): boolean {
    return this.#stream?.isFull ?? false;
  }

  /** One listener per event. Of an error only `errored` tells, before the close. */
  on(event: 'data' | 'error' | 'connect' | 'end' | 'drain' | 'close', listener: unknown): void {
    // None of those that are told takes an argument.
    const tell = listener as () => void;
    if (event === 'end') this.#ended = tell;
    else if (event === 'drain') this.#drained = tell;
    else if (event === 'close') this.#closed = tell;
  }

  readInto(reader: SocketReader): void {
    this.#reader = reader;
  }

  write(data: Uint8Array | string): boolean {
    const isShort = typeof data === 'string' && this.#text.length + data.length <= textBytesMax;
    if (isShort && this.#isCorked) {
      this.#text += data;
      return !this.writableNeedDrain;
    }
    this.#writeText();
    if (typeof data === 'string') return this.#send(data);
    const bytes = bufferOf(data);
    return this.#stream?.sendData(bytes, 0, bytes.length) ?? false;
  }

  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.#writeText();
  }

  end(): void {
    this.uncork();
    this.#stream?.end();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#pass();
  }

  destroy(): void {
    this.#destroy(errorCode.cancel);
  }

  destroySoon(): void {
    this.end();
  }

  resetAndDestroy(): void {
    this.#destroy(errorCode.connectError);
  }

  // ---- what its session tells -------------------------------------------------------------------

  call(stream: Stream, head: readonly HeaderField[]): void {
    this.#stream = stream;
    stream.sendHeaders(head);
  }

  arrive(stream: Stream): void {
    this.#stream = stream;
  }

  /** The other end of it is there. */
  accept(): void {
    this.#stream?.sendHeaders(accepted);
  }

  /** There are too many; nothing that comes on it is looked at. */
  refuse(): void {
    this.#destroy(errorCode.refusedStream);
  }

  answered(): void {
    return;
  }

  arrived(buffer: Buffer, start: number, end: number): void {
    this.#unpassedBytes += end - start;
    const reader = this.#reader;
    if (this.destroyed || reader === undefined) return;
    if (this.#gathered !== undefined || end - start >= longReadBytes) {
      if (this.#gather(reader, buffer, start, end)) return;
      this.#deliver();
    }
    const piece = buffer.subarray(start, end);
    // A short piece is copied where it is written; what is longer might wait there as it is.
    reader.read(end - start > joinBytesMax ? Buffer.from(piece) : piece, end - start);
    this.#pass();
  }

  peerEnded(): void {
    this.#deliver();
    if (!this.destroyed) this.#ended();
  }

  peerReset(isUnread: boolean): void {
    this.isUnread = isUnread;
    this.errored ??= new Error(isUnread ? 'the tunnel was refused' : 'the tunnel was reset');
  }

  sent(): void {
    if (!this.destroyed) this.#drained();
  }

  streamClosed(): void {
    this.destroyed = true;
    const closed = this.#closed;
    this.#closed = noop;
    closed();
  }

  // ---- the rest ---------------------------------------------------------------------------------

  #writeText(): void {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    this.#send(text);
  }

  #send(text: string): boolean {
    const isShort = text.length <= textBytesMax;
    const bytes = isShort ? textBuffer : Buffer.from(text, 'latin1');
    if (isShort) textBuffer.write(text, 0, 'latin1');
    return this.#stream?.sendData(bytes, 0, text.length) ?? false;
  }

  /** False: the reader has no buffer of its own, or it is full. */
  #gather(reader: SocketReader, buffer: Buffer, start: number, end: number): boolean {
    if (this.#gathered === undefined) {
      const own = reader.readBuffer();
      // Between this read and the end of the turn others read into the one that all share.
      if (isShared(own)) return false;
      this.#gathered = own;
      this.#gatheredBytes = 0;
      this.#turnEnd.add(this.#turnEnded);
    }
    if (this.#gatheredBytes + end - start > this.#gathered.length) return false;
    buffer.copy(this.#gathered, this.#gatheredBytes, start, end);
    this.#gatheredBytes += end - start;
    return true;
  }

  #deliver(): void {
    const gathered = this.#gathered;
    this.#gathered = undefined;
    if (gathered === undefined || this.destroyed) return;
    this.#reader?.read(gathered, this.#gatheredBytes);
    this.#pass();
  }

  /** What whoever reads has taken opens the window again. */
  #pass(): void {
    if (this.#isPaused) return;
    this.#stream?.consumed(this.#unpassedBytes);
    this.#unpassedBytes = 0;
  }

  #destroy(code: number): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#gathered = undefined;
    this.#stream?.reset(code);
  }
}

function bufferOf(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.length);
}
