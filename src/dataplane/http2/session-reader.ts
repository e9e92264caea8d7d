// From frames to what they say: the order that frames must have (RFC 9113 sections 3.4, 4.3, 6.10),
// header blocks put together and decoded, contents checked. It knows no streams: whether a frame is
// right for the state of its stream is for the session. Everything it refuses is an error of the
// connection, because what follows cannot be trusted any more.
import type { DecodedBlock, ListLimits } from './hpack-decoder.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { errorCode, flag, frame, FrameReader } from './frames.ts';
import type { FrameHead, FrameTaker } from './frames.ts';
import { blockBytesMax, continuationsMax } from './limits.ts';

export type SessionEvents = {
  /** A connection error; nothing more is told. */
  readFailed(code: number, detail: string): void;
  /** One header block: a head or trailers. */
  headRead(streamId: number, block: DecodedBlock, endsStream: boolean): void;
  /** `length` counts for the windows, `bytes` come as content. */
  dataBegan(streamId: number, length: number, bytes: number): void;
  dataRead(buffer: Buffer, start: number, end: number): void;
  /** The DATA frame is over. */
  dataEnded(endsStream: boolean): void;
  resetRead(streamId: number, code: number): void;
  /** The stream names itself as its parent, the one error that PRIORITY still has. */
  selfDependent(streamId: number): void;
  /** `pairs`: identifier and value, in turn. */
  settingsRead(pairs: readonly number[]): void;
  pingRead(content: Buffer, at: number): void;
  pingAnswered(): void;
  goAwayRead(lastStreamId: number, code: number): void;
  windowRead(streamId: number, bytes: number): void;
  /** A frame that says nothing to us: false ends the reading. */
  noiseRead(): void;
};

/** A header block that is being put together. */
type Block = {
  readonly streamId: number;
  readonly endsStream: boolean;
  readonly parts: Buffer[];
  bytes: number;
};

export class SessionReader implements FrameTaker {
  readonly #events: SessionEvents;
  readonly #frames: FrameReader;
  readonly #decoder: HpackDecoder;
  #block: Block | undefined;
  #hasSettings = false;
  #dataEndsStream = false;
  /** The one SETTINGS frame that we ever send was acknowledged. */
  #isAcknowledged = false;
  #isStopped = false;

  constructor(events: SessionEvents, limits: ListLimits, expectsPreface: boolean) {
    this.#events = events;
    this.#decoder = new HpackDecoder(limits);
    this.#frames = new FrameReader(this, expectsPreface);
  }

  /** The peer speaks HTTP/2: its first SETTINGS have come. */
  get hasSettings(): boolean {
    return this.#hasSettings;
  }

  /** Something has begun that is not complete. */
  get isInMidst(): boolean {
    return this.#block !== undefined || this.#frames.isInFrame;
  }

  read(buffer: Buffer, start: number, end: number): void {
    this.#frames.read(buffer, start, end);
  }

  stop(): void {
    this.#isStopped = true;
    this.#frames.stop();
    this.#block = undefined;
  }

  readFailed(code: number, detail: string): void {
    this.#events.readFailed(code, detail);
  }

  frameBegan({ type, flags, streamId }: FrameHead): boolean {
    if (!this.#hasSettings && (type !== frame.settings || (flags & flag.ack) !== 0)) {
      return this.#refuse('the first frame is not SETTINGS');
    }
    if (this.#block !== undefined) {
      const isNext = type === frame.continuation && streamId === this.#block.streamId;
      if (!isNext) return this.#refuse('a frame within a header block');
    } else if (type === frame.continuation) {
      return this.#refuse('CONTINUATION of nothing');
    }
    if (type === frame.pushPromise) return this.#refuse('PUSH_PROMISE');
    this.#dataEndsStream = (flags & flag.endStream) !== 0;
    return true;
  }

  dataBegan(streamId: number, length: number, bytes: number): void {
    this.#events.dataBegan(streamId, length, bytes);
  }

  dataPiece(buffer: Buffer, start: number, end: number, isLast: boolean): void {
    if (end > start) this.#events.dataRead(buffer, start, end);
    if (isLast) this.#events.dataEnded(this.#dataEndsStream);
  }

  frameEnded(head: FrameHead, buffer: Buffer, start: number, end: number): void {
    const { type, flags, streamId } = head;
    const events = this.#events;
    switch (type) {
      case frame.headers:
        this.#headersEnded(head, buffer, start, end);
        break;
      case frame.continuation:
        this.#continued(flags, buffer, start, end);
        break;
      case frame.priority:
        this.#priorityEnded(streamId, buffer, start, end);
        break;
      case frame.reset:
        events.resetRead(streamId, buffer.readUInt32BE(start));
        break;
      case frame.settings:
        this.#settingsEnded(flags, buffer, start, end);
        break;
      case frame.ping:
        if ((flags & flag.ack) === 0) events.pingRead(buffer, start);
        else events.pingAnswered();
        break;
      case frame.goAway:
        events.goAwayRead(wordAt(buffer, start), buffer.readUInt32BE(start + 4));
        break;
      case frame.windowUpdate:
        events.windowRead(streamId, wordAt(buffer, start));
        break;
      default:
        events.noiseRead();
    }
  }

  #headersEnded(head: FrameHead, buffer: Buffer, start: number, end: number): void {
    const { flags, streamId } = head;
    let from = start;
    let to = end;
    if ((flags & flag.padded) !== 0) {
      to -= buffer[from] ?? 0;
      from += 1;
    }
    if ((flags & flag.priority) !== 0) {
      if (to - from >= 5 && wordAt(buffer, from) === streamId) {
        this.#events.selfDependent(streamId);
        // An error of the connection, unless the stream is open.
        if (this.#isStopped) return;
      }
      from += 5;
    }
    // Beyond the padding that an empty frame cannot have, too.
    if (from > to || from > end) {
      this.#refuse('padding longer than its frame');
      return;
    }
    const endsStream = (flags & flag.endStream) !== 0;
    if ((flags & flag.endHeaders) !== 0) {
      this.#decode({ streamId, endsStream }, buffer, from, to);
      return;
    }
    const part = Buffer.from(buffer.subarray(from, to));
    this.#block = { streamId, endsStream, parts: [part], bytes: part.length };
  }

  #continued(flags: number, buffer: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (block === undefined) return;
    block.parts.push(Buffer.from(buffer.subarray(start, end)));
    block.bytes += end - start;
    if (block.bytes > blockBytesMax || block.parts.length > continuationsMax) {
      this.#fail(errorCode.enhanceYourCalm, 'a header block without end');
      return;
    }
    if ((flags & flag.endHeaders) === 0) return;
    this.#block = undefined;
    this.#decode(block, Buffer.concat(block.parts), 0, block.bytes);
  }

  #decode(of: BlockHead, bytes: Buffer, start: number, end: number): void {
    const block = this.#decoder.decode(bytes, start, end);
    if (block === undefined) this.#fail(errorCode.compressionError, 'a malformed header block');
    else this.#events.headRead(of.streamId, block, of.endsStream);
  }

  #priorityEnded(streamId: number, buffer: Buffer, start: number, end: number): void {
    // FRAME_SIZE_ERROR of the stream in the RFC, which idle streams do not have.
    if (end - start !== 5) this.#fail(errorCode.frameSizeError, 'PRIORITY of another size');
    else if (wordAt(buffer, start) === streamId) this.#events.selfDependent(streamId);
    else this.#events.noiseRead();
  }

  #settingsEnded(flags: number, buffer: Buffer, start: number, end: number): void {
    if ((flags & flag.ack) !== 0) {
      if (this.#isAcknowledged) this.#events.noiseRead();
      this.#isAcknowledged = true;
      return;
    }
    this.#hasSettings = true;
    const pairs: number[] = [];
    for (let at = start; at < end; at += 6) {
      pairs.push(buffer.readUInt16BE(at), buffer.readUInt32BE(at + 2));
    }
    this.#events.settingsRead(pairs);
  }

  #refuse(detail: string): false {
    this.#fail(errorCode.protocolError, detail);
    return false;
  }

  #fail(code: number, detail: string): void {
    this.stop();
    this.#events.readFailed(code, detail);
  }
}

type BlockHead = Pick<Block, 'streamId' | 'endsStream'>;

/** 31 bits. */
function wordAt(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) & 0x7fffffff;
}
