// The frames of HTTP/2 (RFC 9113 sections 4 and 6): their numbers, what is wrong with a frame
// before its content is looked at, and a reader that cuts the bytes of a connection into frames
// whatever pieces they come in. DATA is told piece by piece from where it was read, uncopied; every
// other frame is told whole. Invariant: where the bytes were cut changes nothing but the pieces.

export const frame = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

/** RFC 9113 section 7. */
export const errorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

export const frameHeadBytes = 9;
/** The smallest maximum there is (RFC 9113 section 4.2); we allow no more and send no more. */
export const frameBytesMax = 16_384;
/** What a client sends first (RFC 9113 section 3.4). */
export const clientPreface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export type FrameHead = {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
};

/** One for all frames of a reader, because each call is four of them. */
class CurrentHead implements FrameHead {
  length = 0;
  type = 0;
  flags = 0;
  streamId = 0;
}

/** Which of the two stream ids a frame may have: 0, one of a stream, or either. */
const zeroId: ReadonlySet<number> = new Set([frame.settings, frame.ping, frame.goAway]);
const eitherId: ReadonlySet<number> = new Set([frame.windowUpdate]);

/** The connection error that the head of a frame is, or undefined. */
function headFault({ length, type, flags, streamId }: FrameHead): number | undefined {
  if (length > frameBytesMax) return errorCode.frameSizeError;
  if (type > frame.continuation) return undefined;
  if (!eitherId.has(type) && zeroId.has(type) !== (streamId === 0)) return errorCode.protocolError;
  return hasRightSize(length, type, flags) ? undefined : errorCode.frameSizeError;
}

function hasRightSize(length: number, type: number, flags: number): boolean {
  switch (type) {
    case frame.data:
      return length > 0 || (flags & flag.padded) === 0;
    case frame.reset:
    case frame.windowUpdate:
      return length === 4;
    case frame.settings:
      return (flags & flag.ack) !== 0 ? length === 0 : length % 6 === 0;
    case frame.ping:
      return length === 8;
    case frame.goAway:
      return length >= 8;
    default:
      return true;
  }
}

export type FrameTaker = {
  /** A connection error: nothing more is read. */
  readFailed(code: number, detail: string): void;
  /** The head of a frame, in order, as long as the frame lasts; false: nothing more is read. */
  frameBegan(head: FrameHead): boolean;
  /** A DATA frame begins: `length` with padding, `bytes` without. */
  dataBegan(streamId: number, length: number, bytes: number): void;
  /** `isLast`: of this frame. */
  dataPiece(buffer: Buffer, start: number, end: number, isLast: boolean): void;
  /** A whole frame of another kind; the bytes are the taker's until it returns. */
  frameEnded(head: FrameHead, buffer: Buffer, start: number, end: number): void;
};

const noBytes = Buffer.alloc(0);

export class FrameReader {
  readonly #taker: FrameTaker;
  #prefaceLeft: number;
  /** What is kept of a head or of a frame that came in pieces. */
  #kept = noBytes;
  #keptBytes = 0;
  readonly #current = new CurrentHead();
  #head: FrameHead | undefined;
  /** Of a DATA frame: what is left of it, and of its padding. */
  #dataLeft = 0;
  #padLeft = 0;
  #isInData = false;
  #isStopped = false;

  /** `expectsPreface`: the peer is a client. */
  constructor(taker: FrameTaker, expectsPreface: boolean) {
    this.#taker = taker;
    this.#prefaceLeft = expectsPreface ? clientPreface.length : 0;
  }

  /** Some bytes of a frame have come; of DATA none is waited for, because pieces are passed on. */
  get isInFrame(): boolean {
    return this.#keptBytes > 0 || (this.#head !== undefined && !this.#isInData);
  }

  /** Nothing more is read. */
  stop(): void {
    this.#isStopped = true;
    this.#kept = noBytes;
  }

  read(buffer: Buffer, start: number, end: number): void {
    let at = this.#prefaceLeft > 0 ? this.#readPreface(buffer, start, end) : start;
    while (at < end && !this.#isStopped) {
      if (this.#isInData) at = this.#readData(buffer, at, end);
      else if (this.#head === undefined) at = this.#readHead(buffer, at, end);
      else at = this.#readFrame(this.#head, buffer, at, end);
    }
  }

  #readPreface(buffer: Buffer, start: number, end: number): number {
    let at = start;
    for (; at < end && this.#prefaceLeft > 0; at += 1, this.#prefaceLeft -= 1) {
      if (buffer[at] === clientPreface[clientPreface.length - this.#prefaceLeft]) continue;
      this.#fail(1, 'no HTTP/2 preface');
      break;
    }
    return at;
  }

  #readHead(buffer: Buffer, start: number, end: number): number {
    if (this.#keptBytes === 0 && end - start >= frameHeadBytes) {
      this.#begin(buffer, start);
      // A frame without content ends with its head.
      return this.#endEmpty(buffer, start + frameHeadBytes);
    }
    const next = this.#keep(buffer, start, end, frameHeadBytes);
    if (this.#keptBytes < frameHeadBytes) return next;
    this.#keptBytes = 0;
    this.#begin(this.#kept, 0);
    return this.#endEmpty(buffer, next);
  }

  #endEmpty(buffer: Buffer, at: number): number {
    const head = this.#head;
    if (head?.length !== 0 || this.#isStopped) return at;
    this.#head = undefined;
    if (this.#isInData) this.#endData(buffer, at);
    else this.#taker.frameEnded(head, buffer, at, at);
    return at;
  }

  #begin(bytes: Buffer, at: number): void {
    const head = this.#current;
    // All bytes are there; the methods of Buffer ask again and cost more than the frame.
    head.length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    head.type = bytes[at + 3] ?? 0;
    head.flags = bytes[at + 4] ?? 0;
    head.streamId = (((bytes[at + 5] ?? 0) & 0x7f) << 24)
      | ((bytes[at + 6] ?? 0) << 16)
      | ((bytes[at + 7] ?? 0) << 8)
      | (bytes[at + 8] ?? 0);
    const fault = headFault(head);
    if (fault !== undefined) {
      this.#fail(fault, `frame of type ${head.type} with ${head.length} bytes`);
      return;
    }
    if (!this.#taker.frameBegan(head)) {
      this.stop();
      return;
    }
    this.#head = head;
    if (head.type !== frame.data) return;
    this.#isInData = true;
    this.#dataLeft = head.length;
    this.#padLeft = 0;
    const isPadded = (head.flags & flag.padded) !== 0;
    // The length of the padding is the first byte of what comes.
    if (isPadded) this.#padLeft = -1;
    else this.#taker.dataBegan(head.streamId, head.length, head.length);
  }

  #readData(buffer: Buffer, start: number, end: number): number {
    let at = start;
    if (this.#padLeft < 0) {
      this.#padLeft = buffer[at] ?? 0;
      at += 1;
      this.#dataLeft -= 1 + this.#padLeft;
      if (this.#dataLeft < 0) return this.#fail(1, 'padding longer than its frame');
      const { streamId = 0, length = 0 } = this.#head ?? {};
      this.#taker.dataBegan(streamId, length, this.#dataLeft);
    }
    const bytes = Math.min(this.#dataLeft, end - at);
    this.#dataLeft -= bytes;
    const pieceEnd = at + bytes;
    const skipped = this.#dataLeft > 0 ? 0 : Math.min(this.#padLeft, end - pieceEnd);
    this.#padLeft -= skipped;
    const isLast = this.#dataLeft === 0 && this.#padLeft === 0;
    if (isLast) this.#isInData = false;
    if (isLast) this.#head = undefined;
    if (bytes > 0 || isLast) this.#taker.dataPiece(buffer, at, pieceEnd, isLast);
    return pieceEnd + skipped;
  }

  #endData(buffer: Buffer, at: number): void {
    this.#isInData = false;
    this.#taker.dataPiece(buffer, at, at, true);
  }

  #readFrame(head: FrameHead, buffer: Buffer, start: number, end: number): number {
    if (this.#keptBytes === 0 && end - start >= head.length) {
      this.#head = undefined;
      this.#taker.frameEnded(head, buffer, start, start + head.length);
      return start + head.length;
    }
    const next = this.#keep(buffer, start, end, head.length);
    if (this.#keptBytes < head.length) return next;
    const kept = this.#kept;
    this.#kept = noBytes;
    this.#keptBytes = 0;
    this.#head = undefined;
    this.#taker.frameEnded(head, kept, 0, head.length);
    return next;
  }

  /** Copies until there are `wanted` bytes; answers where to go on. */
  #keep(buffer: Buffer, start: number, end: number, wanted: number): number {
    if (this.#kept.length < wanted) this.#kept = Buffer.allocUnsafe(wanted);
    const bytes = Math.min(wanted - this.#keptBytes, end - start);
    buffer.copy(this.#kept, this.#keptBytes, start, start + bytes);
    this.#keptBytes += bytes;
    return start + bytes;
  }

  #fail(code: number, detail: string): number {
    this.stop();
    this.#taker.readFailed(code, detail);
    return Infinity;
  }
}
