// A TCP connection inside a tunnel: one CONNECT stream of HTTP/2 (RFC 9113 section 8.5), used as
// any other socket is. On the side that opens it it waits for a session and then for the other
// proxy's word; on the side where it arrives that word is given by `accept` or `refuse`.
// Back-pressure is the stream's window: it opens as what was read has been passed on. RST_STREAM
// stands for RST, the end of the stream for FIN.
// Invariant: `close` is told once, last; bytes that come before anybody reads wait here, and no
// more of them than the window of a stream.
import type { NetworkSocket } from '../lib/network.ts';
import type { Counts } from './engine.ts';
import { errorCode } from './http2/frames.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import type { HeaderField } from './http2/hpack-table.ts';
import type { Http2Stream } from './http2/stream.ts';
import { WaitingBytes } from './pending-bytes.ts';
import { joinBytesMax } from './read-buffers.ts';
import { reasonStatus } from './refusals.ts';
import type { Reason } from './refusals.ts';
import { readTunnelRefusal, tunnelRefusalFields } from './tunnel-fields.ts';
import type { CarriedStream } from './tunnel-session.ts';
import { refusedThere } from './tunnel-refusal.ts';
import type { RefusedThere } from './tunnel-refusal.ts';

const noop = (): void => undefined;
const accepted: readonly HeaderField[] = [{ name: ':status', value: '200' }];

export class TunnelStream implements NetworkSocket, CarriedStream<TunnelStream> {
  destroyed = false;
  errored: Error | null = null;
  /** Why it was not opened; undefined: as far as is known it could not be reached. */
  failure: RefusedThere | undefined;
  readonly #early: Buffer[] = [];
  readonly #waiting: WaitingBytes;
  #stream: Http2Stream<TunnelStream> | undefined;
  /** Opened by us, and not answered yet. */
  #isConnecting = false;
  #isPaused = false;
  #hasPeerEnded = false;
  #unpassedBytes = 0;
  #earlyBytes = 0;
  #left: () => void = noop;
  #connected: () => void = noop;
  #ended: () => void = noop;
  #drained: () => void = noop;
  #closed: () => void = noop;
  #read: ((data: Buffer) => void) | undefined;

  constructor(counts: Counts) {
    this.#waiting = new WaitingBytes(counts);
  }

  get writableLength(): number {
    return this.#stream?.unsentBytes ?? 0;
  }

  get writableNeedDrain(): boolean {
    return this.#stream?.isFull ?? false;
  }

  on(event: 'data', listener: (data: Buffer) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'connect' | 'end' | 'drain' | 'close', listener: () => void): void;
  on(event: 'data' | 'error' | 'connect' | 'end' | 'drain' | 'close', listener: unknown): void {
    // The overloads say which listener belongs to which event.
    const tell = listener as () => void;
    switch (event) {
      case 'data':
        this.#begin(listener as (data: Buffer) => void);
        return;
      case 'connect':
        this.#connected = tell;
        return;
      case 'end':
        this.#ended = tell;
        return;
      case 'drain':
        this.#drained = tell;
        return;
      case 'close':
        this.#closed = tell;
        return;
      // What went wrong is told with the end, and `errored` says it.
      case 'error':
        return;
    }
  }

  write(data: Uint8Array | string): boolean {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : bufferOf(data);
    return this.#stream?.sendData(bytes, 0, bytes.length) ?? false;
  }

  end(): void {
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

  /** Every write leaves by itself. */
  cork(): void {
    return;
  }

  uncork(): void {
    return;
  }

  // ---- the side that opens it -------------------------------------------------------------------

  /** It waits for a session; `left` is told if nobody wants it any more before there is one. */
  await(left: () => void): void {
    this.#isConnecting = true;
    this.#left = left;
  }

  /** There is a session: the call is made. */
  call(stream: Http2Stream<TunnelStream>, head: readonly HeaderField[]): void {
    this.#left = noop;
    this.#stream = stream;
    stream.sendHeaders(head);
  }

  /** There is none, or it was refused. */
  fail(failure: RefusedThere | undefined): void {
    if (this.destroyed) return;
    this.failure = failure;
    this.errored ??= new Error(failure?.reason ?? 'the tunnel was reset');
    this.destroy();
    this.#tellClosed();
  }

  // ---- the side where it arrives ----------------------------------------------------------------

  arrive(stream: Http2Stream<TunnelStream>): void {
    this.#stream = stream;
  }

  /** The pod has taken it. */
  accept(): void {
    this.#stream?.sendHeaders(accepted);
  }

  /** Nothing of it reached the pod. */
  refuse(reason: Reason): void {
    const told = tunnelRefusalFields({ reason, isUnsent: true });
    this.#stream?.sendHeaders([
      { name: ':status', value: String(reasonStatus(reason)) },
      ...told.map(([name, value]) => ({ name, value })),
    ]);
    this.#stream?.end();
    this.#destroy(errorCode.noError);
  }

  // ---- what its session tells -------------------------------------------------------------------

  answered(fields: readonly DecodedField[]): void {
    if (!this.#isConnecting || this.destroyed) return;
    const status = Number(fields[0]?.value);
    if (status < 200) return;
    this.#isConnecting = false;
    if (status === 200) {
      this.#connected();
      return;
    }
    const refusal = readTunnelRefusal(fieldsOf(fields));
    this.fail(refusal && refusedThere(refusal));
  }

  arrived(buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    this.#unpassedBytes += bytes;
    if (this.destroyed) return;
    if (this.#read === undefined) {
      this.#early.push(Buffer.from(buffer.subarray(start, end)));
      this.#earlyBytes += bytes;
      this.#waiting.set(this.#earlyBytes);
      return;
    }
    const piece = buffer.subarray(start, end);
    // A short piece is copied where it is written; what is longer might wait there as it is.
    this.#read(bytes > joinBytesMax ? Buffer.from(piece) : piece);
    this.#pass();
  }

  peerEnded(): void {
    this.#hasPeerEnded = true;
    if (this.#read !== undefined) this.#ended();
  }

  peerReset(): void {
    this.errored ??= new Error('the tunnel was reset');
  }

  sent(): void {
    if (!this.destroyed) this.#drained();
  }

  streamClosed(): void {
    this.destroyed = true;
    this.#tellClosed();
  }

  // ---- the rest ---------------------------------------------------------------------------------

  #begin(read: (data: Buffer) => void): void {
    this.#read = read;
    this.#waiting.set(0);
    for (const piece of this.#early.splice(0)) read(piece);
    this.#pass();
    if (this.#hasPeerEnded) this.#ended();
  }

  /** What whoever reads has taken opens the window again. */
  #pass(): void {
    if (this.#isPaused || this.#read === undefined) return;
    this.#stream?.consumed(this.#unpassedBytes);
    this.#unpassedBytes = 0;
  }

  #destroy(code: number): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#waiting.set(0);
    this.#early.length = 0;
    this.#left();
    this.#left = noop;
    this.#stream?.reset(code);
  }

  #tellClosed(): void {
    this.#waiting.set(0);
    const closed = this.#closed;
    this.#closed = noop;
    closed();
  }
}

function bufferOf(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.length);
}

/** As the fields of HTTP/1 are asked. */
export function fieldsOf(fields: readonly DecodedField[]) {
  return {
    get: (name: string) => fields.find((one) => one.name === name)?.value,
    values: (name: string) => fields.flatMap((one) => (one.name === name ? [one.value] : [])),
  };
}
