// Writes frames one behind the other into one buffer, which leaves when `flush` is called: once per
// read or turn, however many frames there are. It knows frames and nothing of streams or windows.
// A buffer is given back only when the transport holds no byte of it any more.
import type { HpackEncoder } from './hpack-encoder.ts';
import { blockBytesMax } from './hpack-encoder.ts';
import type { HeaderField } from './hpack-table.ts';
import { clientPreface, flag, frame, frameBytesMax, frameHeadBytes } from './frames.ts';

/** What carries a session's bytes. */
export type SessionTransport = {
  /** Takes the bytes and holds them while `unsentBytes` is not 0. */
  write(bytes: Buffer): void;
  /** Bytes that the kernel has not taken yet. */
  readonly unsentBytes: number;
  /** Something waits for `flush`, and no `read` is under way that would end with one. */
  flushSoon(): void;
};

/** Four full DATA frames: what one system call takes at little more cost than one of them. */
const bufferBytes = 64 * 1024 + 4 * frameHeadBytes;
/** Kept for the next turns (4 MiB). */
const idleMax = 64;

/** The buffers of all sessions of a worker: each holds one between its first frame and `flush`. */
export class FrameBuffers {
  readonly #idle: Buffer[] = [];

  take(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
  }

  give(buffer: Buffer): void {
    // One that was made for a longer frame goes.
    if (buffer.length === bufferBytes && this.#idle.length < idleMax) this.#idle.push(buffer);
  }
}

export class FrameWriter {
  readonly #transport: SessionTransport;
  readonly #buffers: FrameBuffers;
  #buffer: Buffer | undefined;
  #length = 0;
  /** The transport may hold bytes of them. */
  readonly #lent: Buffer[] = [];
  /** Where the flags of the last frame are, while it can still be made the last of its stream. */
  #lastFlagsAt = -1;
  #lastStreamId = 0;

  constructor(transport: SessionTransport, buffers: FrameBuffers) {
    this.#transport = transport;
    this.#buffers = buffers;
  }

  get hasBytes(): boolean {
    return this.#length > 0;
  }

  /** Written here, and not taken by the kernel. */
  get waitingBytes(): number {
    return this.#length + this.#transport.unsentBytes;
  }

  flush(): void {
    const buffer = this.#buffer;
    if (buffer === undefined || this.#length === 0) return;
    this.drained();
    this.#buffer = undefined;
    this.#lastFlagsAt = -1;
    const bytes = buffer.subarray(0, this.#length);
    this.#length = 0;
    this.#transport.write(bytes);
    if (this.#transport.unsentBytes === 0) this.#buffers.give(buffer);
    else this.#lent.push(buffer);
  }

  /** The transport may have sent everything. */
  drained(): void {
    if (this.#lent.length === 0 || this.#transport.unsentBytes > 0) return;
    for (let one = this.#lent.pop(); one !== undefined; one = this.#lent.pop()) {
      this.#buffers.give(one);
    }
  }

  /** The transport is gone, and nobody knows what it still holds. */
  close(): void {
    this.#lent.length = 0;
    if (this.#buffer !== undefined) this.#buffers.give(this.#buffer);
    this.#buffer = undefined;
    this.#length = 0;
    this.#lastFlagsAt = -1;
  }

  preface(): void {
    const buffer = this.#room(clientPreface.length);
    clientPreface.copy(buffer, this.#length);
    this.#length += clientPreface.length;
  }

  /** At most `frameBytesMax` of them. */
  data(streamId: number, buffer: Buffer, start: number, end: number): void {
    const out = this.#begin(frame.data << 8, streamId, end - start);
    buffer.copy(out, this.#length, start, end);
    this.#length += end - start;
  }

  /** A block that is longer than a frame goes on in CONTINUATION frames. */
  headers(streamId: number, fields: readonly HeaderField[], encoder: HpackEncoder): void {
    const known = encoder.blockOf(fields);
    if (known !== undefined) {
      const kind = (frame.headers << 8) | flag.endHeaders;
      const to = this.#begin(kind, streamId, known.length);
      copyBlock(known, to, this.#length);
      this.#length += known.length;
      return;
    }
    const mostBytes = blockBytesMax(fields);
    const mostFrames = 1 + Math.floor(mostBytes / frameBytesMax);
    const out = this.#room(mostBytes + mostFrames * frameHeadBytes);
    const blockAt = this.#length + frameHeadBytes;
    const bytes = encoder.encode(fields, out, blockAt) - blockAt;
    if (bytes <= frameBytesMax) {
      this.#head(out, (frame.headers << 8) | flag.endHeaders, streamId, bytes);
      this.#length += bytes;
    } else {
      this.#splitBlock(out, Buffer.from(out.subarray(blockAt, blockAt + bytes)), streamId);
    }
  }

  #splitBlock(out: Buffer, block: Buffer, streamId: number): void {
    const flagsAt = this.#length + 4;
    for (let at = 0; at < block.length; at += frameBytesMax) {
      const bytes = Math.min(frameBytesMax, block.length - at);
      const type = at === 0 ? frame.headers : frame.continuation;
      const flags = at + bytes === block.length ? flag.endHeaders : 0;
      this.#head(out, (type << 8) | flags, streamId, bytes);
      block.copy(out, this.#length, at, at + bytes);
      this.#length += bytes;
    }
    // END_STREAM stands in the first frame.
    this.#lastFlagsAt = flagsAt;
  }

  /** The peer hears no more of this stream. */
  end(streamId: number): void {
    const out = this.#buffer;
    if (out !== undefined && this.#lastFlagsAt >= 0 && this.#lastStreamId === streamId) {
      out[this.#lastFlagsAt] = (out[this.#lastFlagsAt] ?? 0) | flag.endStream;
      this.#lastFlagsAt = -1;
      return;
    }
    this.#begin((frame.data << 8) | flag.endStream, streamId, 0);
    this.#lastFlagsAt = -1;
  }

  reset(streamId: number, code: number): void {
    this.#word(frame.reset, streamId, code);
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.#word(frame.windowUpdate, streamId, bytes);
  }

  settings(pairs: readonly (readonly [id: number, value: number])[]): void {
    const out = this.#begin(frame.settings << 8, 0, pairs.length * 6);
    for (const [id, value] of pairs) {
      out.writeUInt16BE(id, this.#length);
      out.writeUInt32BE(value, this.#length + 2);
      this.#length += 6;
    }
  }

  settingsAck(): void {
    this.#begin((frame.settings << 8) | flag.ack, 0, 0);
  }

  ping(flags: number, content: Buffer, at: number): void {
    const out = this.#begin((frame.ping << 8) | flags, 0, 8);
    content.copy(out, this.#length, at, at + 8);
    this.#length += 8;
  }

  goAway(lastStreamId: number, code: number, text: string): void {
    const out = this.#begin(frame.goAway << 8, 0, 8 + text.length);
    out.writeUInt32BE(lastStreamId, this.#length);
    out.writeUInt32BE(code, this.#length + 4);
    out.write(text, this.#length + 8, 'latin1');
    this.#length += 8 + text.length;
  }

  #word(type: number, streamId: number, word: number): void {
    const out = this.#begin(type << 8, streamId, 4);
    out.writeUInt32BE(word, this.#length);
    this.#length += 4;
  }

  #begin(kind: number, streamId: number, bytes: number): Buffer {
    const out = this.#room(frameHeadBytes + bytes);
    this.#head(out, kind, streamId, bytes);
    return out;
  }

  /** `kind`: type and flags, the type in the upper byte. */
  #head(out: Buffer, kind: number, streamId: number, bytes: number): void {
    const at = this.#length;
    const type = kind >> 8;
    out[at] = bytes >> 16;
    out[at + 1] = bytes >> 8;
    out[at + 2] = bytes;
    out[at + 3] = type;
    out[at + 4] = kind;
    out[at + 5] = streamId >> 24;
    out[at + 6] = streamId >> 16;
    out[at + 7] = streamId >> 8;
    out[at + 8] = streamId;
    this.#length = at + frameHeadBytes;
    const canEnd = type === frame.data || type === frame.headers;
    this.#lastFlagsAt = canEnd ? at + 4 : -1;
    this.#lastStreamId = streamId;
  }

  /** A buffer with room for so many more bytes. */
  #room(bytes: number): Buffer {
    const buffer = this.#buffer;
    if (buffer !== undefined && this.#length + bytes <= buffer.length) return buffer;
    this.flush();
    this.#buffer ??= this.#buffers.take();
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(bytes);
    return this.#buffer;
  }
}

/** A call of the runtime costs more than so many steps of a loop. */
const shortBytes = 48;

function copyBlock(block: Buffer, to: Buffer, start: number): void {
  if (block.length > shortBytes) {
    block.copy(to, start);
    return;
  }
  for (let at = 0; at < block.length; at += 1) to[start + at] = block[at] ?? 0;
}
