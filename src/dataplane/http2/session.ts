// One HTTP/2 connection, of either side (RFC 9113): streams, windows, settings, and the errors of
// both. It has no socket: bytes that were read are given to `read`, bytes to be written go to the
// transport, and what happens is told to the listener. It knows nothing of exchanges.
// Back-pressure is end to end: windows are opened only as users say that bytes were passed on, and
// what a peer does not take waits in its stream, which says so (`isFull`, `drained`).
// Invariants: every stream is told `closed` exactly once, last; `failed` is told at most once.
import { FloodGuard, lateFramesPerReset } from './flood-guard.ts';
import type { Nuisance } from './flood-guard.ts';
import { errorCode, flag } from './frames.ts';
import { FrameWriter } from './frame-writer.ts';
import type { DecodedBlock, DecodedField } from './hpack-decoder.ts';
import type { HeaderField } from './hpack-table.ts';
import {
  initialWindowBytes,
  lastStreamIdMax,
  unreadBytesMax,
  unsentBytesMax,
} from './limits.ts';
import { ReceiveSide } from './receive-side.ts';
import { requestFacts, responseFacts, trailersFault } from './message-rules.ts';
import { SendSide } from './send-side.ts';
import { SessionReader, type SessionEvents } from './session-reader.ts';
import type { ResetCause, SessionOptions } from './session-types.ts';
import { readSettings, settingsOf } from './settings.ts';
import { Http2Stream, type StreamLink } from './stream.ts';
import { StreamTable } from './stream-table.ts';

const pingContent = Buffer.alloc(8);

export class Http2Session<User> implements SessionEvents, StreamLink<User> {
  readonly #options: SessionOptions<User>;
  readonly #isServer: boolean;
  readonly #reader: SessionReader;
  readonly #writer: FrameWriter;
  readonly #sending: SendSide<User>;
  readonly #guard: FloodGuard;
  readonly #streams: StreamTable<User>;
  readonly #receiving: ReceiveSide<User>;
  /** The stream of the DATA frame that is being read, if somebody still wants it. */
  #dataStream: Http2Stream<User> | undefined;
  #isEmptyData = false;
  #isReading = false;
  #isFlushDue = false;
  #isOver = false;
  /** No stream is opened any more, by the side that opens them. */
  #isLeaving = false;

  constructor(options: SessionOptions<User>) {
    this.#options = options;
    const { role, limits, transport, buffers, clock } = options;
    this.#isServer = role === 'server';
    this.#guard = new FloodGuard(() => clock.nowMs());
    this.#writer = new FrameWriter(transport, buffers);
    this.#reader = new SessionReader(this, limits, this.#isServer);
    this.#streams = new StreamTable(this.#isServer);
    this.#sending = new SendSide({
      isServer: this.#isServer,
      writer: this.#writer,
      guard: this.#guard,
      streams: this.#streams.open,
      drained: (stream) => options.listener.drained(stream),
    });
    this.#receiving = new ReceiveSide(this.#writer, limits);
    if (!this.#isServer) this.#writer.preface();
    this.#writer.settings(settingsOf(role, limits));
    this.#writer.windowUpdate(0, limits.connectionWindowBytes - initialWindowBytes);
    this.#touch();
  }

  /** Open streams, those included whose head has not been sent. */
  get streams(): Pick<StreamTable<User>, 'size' | 'oldest'> {
    return this.#streams;
  }

  /** `openStream` would answer with a stream. */
  get canOpen(): boolean {
    if (this.#isServer || this.#isOver || this.#isLeaving) return false;
    return this.#streams.hasRoom;
  }

  /** No new stream will be opened on it, though those that are open go on. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Failed, or its connection is gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The peer has sent its SETTINGS: it does speak HTTP/2. */
  get hasSettings(): boolean {
    return this.#reader.hasSettings;
  }

  /** A frame or header block has begun and is not complete. */
  get isInMidst(): boolean {
    return this.#reader.isInMidst;
  }

  /** A new stream of a client, which has no id until its head is sent. */
  openStream(user: User): Http2Stream<User> | undefined {
    if (!this.canOpen) return undefined;
    const stream = this.#newStream(0, user);
    this.#streams.unsent.add(stream);
    return stream;
  }

  /** What was read; the buffer may be overwritten afterwards. Ends with a flush. */
  read(buffer: Buffer, start: number, end: number): void {
    if (this.#isOver) return;
    this.#isReading = true;
    try {
      this.#reader.read(buffer, start, end);
    } finally {
      this.#isReading = false;
    }
    this.flush();
  }

  /** What has been written leaves. */
  flush(): void {
    this.#isFlushDue = false;
    this.#writer.flush();
  }

  /** The transport has sent what it held. */
  drained(): void {
    this.#writer.drained();
    if (this.#isOver) return;
    this.#sending.pumpAll();
    if (this.#writer.hasBytes) this.#touch();
  }

  /** `pingAnswered` follows. */
  ping(): void {
    if (this.#isOver) return;
    this.#writer.ping(0, pingContent, 0);
    this.#touch();
  }

  /** A server's first word of its leaving: new streams are still taken (RFC 9113 section 6.8). */
  announceLeave(): void {
    if (this.#isOver || this.#isLeaving) return;
    this.#writer.goAway(lastStreamIdMax, errorCode.noError, '');
    this.#touch();
  }

  /** From here on no stream is opened; those that are open go on. */
  leave(): void {
    if (this.#isOver || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#streams.isLeaving = true;
    this.#writer.goAway(this.#streams.lastPeerId, errorCode.noError, '');
    this.#touch();
  }

  /** Ends everything with a word; `failed` is told. */
  fail(code: number, detail: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reader.stop();
    // The text tells whoever debugs the peer.
    this.#writer.goAway(this.#streams.lastPeerId, code, detail);
    this.#writer.flush();
    this.#closeAll(code);
    this.#options.listener.failed({ code, detail });
  }

  /** The connection is gone; `failed` is not told. Idempotent. */
  disconnected(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#reader.stop();
      this.#closeAll(errorCode.cancel);
    }
    this.#writer.close();
  }

  // ---- what streams ask for -------------------------------------------------------------------

  sendHead(stream: Http2Stream<User>, fields: readonly HeaderField[]): void {
    if (this.#isOver) return;
    if (stream.id === 0) this.#begin(stream, fields);
    this.#sending.head(stream, fields);
    this.#touch();
  }

  sendNow(stream: Http2Stream<User>, buffer: Buffer, start: number, end: number): number {
    if (this.#isOver) return 0;
    const sent = this.#sending.data(stream, buffer, start, end);
    if (sent > 0) this.#touch();
    return sent;
  }

  sendEnd(stream: Http2Stream<User>, trailers: readonly HeaderField[] | undefined): void {
    if (this.#isOver || stream.id === 0) return;
    this.#sending.end(stream, trailers);
    stream.isSendingOver = true;
    this.#touch();
    if (stream.hasEnded) this.#close(stream, false);
  }

  resetByUser(stream: Http2Stream<User>, code: number): void {
    if (!this.#isOver && stream.id > 0) {
      this.#writer.reset(stream.id, code);
      this.#touch();
    }
    this.#close(stream, true);
  }

  grant(stream: Http2Stream<User>, bytes: number): void {
    if (this.#isOver) return;
    this.#receiving.grantOf(stream, bytes);
    this.#touch();
  }

  // ---- what the peer says ---------------------------------------------------------------------

  readFailed(code: number, detail: string): void {
    this.fail(code, detail);
  }

  headRead(streamId: number, block: DecodedBlock, endsStream: boolean): void {
    if (this.#isOver) return;
    const stream = this.#streams.open.get(streamId) ?? this.#accept(streamId);
    // Decoded for nothing, to stay in step.
    if (stream === undefined) this.#endure(block.isTooLarge ? 'large-head' : 'late');
    else if (stream.hasEnded) this.#fault(stream, errorCode.streamClosed);
    else if (block.isTooLarge) {
      // The connection is in step, because the list was decoded to its end.
      const isAnswered = this.#options.listener.tooLarge?.(stream) === true;
      if (!isAnswered) this.#fault(stream, errorCode.enhanceYourCalm);
      this.#endure('large-head');
    } else if (stream.hasHead) this.#trailersRead(stream, block, endsStream);
    else this.#messageBegan(stream, block, endsStream);
  }

  dataBegan(streamId: number, length: number, bytes: number): void {
    this.#dataStream = undefined;
    if (!this.#receiving.take(length)) {
      this.fail(errorCode.flowControlError, 'more than the window of the connection');
      return;
    }
    const stream = this.#streams.open.get(streamId);
    if (stream === undefined) {
      if (!this.#isLate(streamId, 'DATA')) return;
      this.#receiving.grant(length);
      // Content is bounded by the windows.
      if (bytes === 0) this.#endure('late');
      return;
    }
    const isWithin = this.#receiving.takeOf(stream, length);
    stream.contentBytes += bytes;
    if (stream.hasEnded) this.#fault(stream, errorCode.streamClosed);
    else if (!isWithin) this.#fault(stream, errorCode.flowControlError);
    else if (!stream.hasHead || stream.isTooLong) this.#fault(stream, errorCode.protocolError);
    else this.#dataStream = stream;
    // Padding is nobody's to pass on.
    if (length > bytes) stream.consumed(length - bytes);
    if (bytes === 0) this.#isEmptyData = true;
  }

  dataRead(buffer: Buffer, start: number, end: number): void {
    const stream = this.#dataStream;
    if (stream === undefined || stream.isClosed) return;
    this.#guard.earn('ping', 1);
    this.#options.listener.data(stream, buffer, start, end);
  }

  dataEnded(endsStream: boolean): void {
    const stream = this.#dataStream;
    const isEmpty = this.#isEmptyData;
    this.#dataStream = undefined;
    this.#isEmptyData = false;
    if (!endsStream) {
      if (isEmpty) this.#endure('empty-data');
    } else if (stream !== undefined && !stream.isClosed) {
      this.#messageEnded(stream, undefined);
    }
  }

  resetRead(streamId: number, code: number): void {
    const stream = this.#streams.open.get(streamId);
    if (stream === undefined) {
      if (this.#streams.isIdle(streamId)) this.#refuse('RST_STREAM of a stream that never was');
      else this.#endure(this.#streams.find(streamId) === 'late' ? 'late' : 'noise');
      return;
    }
    const ageMs = this.#options.clock.nowMs() - stream.openedMs;
    const isUseless = this.#isServer && ageMs < this.#options.limits.youngStreamMs;
    this.#tellReset(stream, code, 'peer');
    if (isUseless) this.#endure('reset');
  }

  selfDependent(streamId: number): void {
    const stream = this.#streams.open.get(streamId);
    if (stream !== undefined) this.#fault(stream, errorCode.protocolError);
    else this.#refuse('a stream that depends on itself');
  }

  settingsRead(pairs: readonly number[]): void {
    const said = readSettings(pairs, this.#isServer ? 'server' : 'client');
    if (typeof said === 'number') {
      this.fail(said, 'SETTINGS with a value that cannot be');
      return;
    }
    this.#writer.settingsAck(); // before what they allow: until then the peer counts as before
    for (const bytes of said.tableBytes) this.#sending.limitTable(bytes);
    this.#streams.limit(said.streamsMax);
    const { windowBytes } = said;
    const fault = windowBytes === undefined ? undefined : this.#sending.moveWindows(windowBytes);
    if (fault !== undefined) {
      this.fail(fault, 'a window beyond its maximum');
      return;
    }
    this.#options.listener.settled();
    this.#endure('settings');
  }

  pingRead(content: Buffer, at: number): void {
    this.#writer.ping(flag.ack, content, at);
    this.#endure('ping');
  }

  pingAnswered(): void {
    this.#options.listener.pingAnswered();
    this.#endure('ping');
  }

  goAwayRead(lastStreamId: number, code: number): void {
    this.#isLeaving ||= !this.#isServer;
    for (const stream of this.#streams.all()) {
      const isUnread = stream.id === 0 || (!this.#isServer && stream.id > lastStreamId);
      if (isUnread) this.#tellReset(stream, errorCode.refusedStream, 'peer');
    }
    this.#options.listener.goAway(lastStreamId, code);
    this.#endure('noise');
  }

  windowRead(streamId: number, bytes: number): void {
    this.#endure('window');
    if (this.#isOver) return;
    if (streamId === 0) {
      const fault = this.#sending.openConnection(bytes);
      if (fault !== undefined) this.fail(fault, 'a window that cannot be');
      return;
    }
    const stream = this.#streams.open.get(streamId);
    if (stream === undefined) {
      if (this.#streams.isIdle(streamId)) this.#refuse('WINDOW_UPDATE of a stream that never was');
      return;
    }
    const fault = this.#sending.openStream(stream, bytes);
    if (fault !== undefined) this.#fault(stream, fault);
  }

  noiseRead(): void {
    this.#endure('noise');
  }

  // ---- messages -------------------------------------------------------------------------------

  /** The stream that a head begins, or undefined where it begins none. */
  #accept(streamId: number): Http2Stream<User> | undefined {
    if (!this.#streams.isNew(streamId)) {
      this.#isLate(streamId, 'HEADERS');
      return undefined;
    }
    // After the last word of our leaving what comes is not looked at.
    if (this.#isLeaving) return undefined;
    this.#streams.lastPeerId = streamId;
    if (this.#streams.size < this.#options.limits.streamsMax) {
      const stream = this.#newStream(streamId, undefined);
      this.#streams.open.add(stream);
      return stream;
    }
    this.#writer.reset(streamId, errorCode.refusedStream);
    this.#streams.forget(streamId, true);
    this.#endure('provoked');
    return undefined;
  }

  #messageBegan(stream: Http2Stream<User>, block: DecodedBlock, endsStream: boolean): void {
    const factsOf = this.#isServer ? requestFacts : responseFacts;
    const facts = (block.facts ??= factsOf(block.fields));
    const isMalformed = 'malformed' in facts || !stream.expects(facts, endsStream);
    if (isMalformed) {
      this.#fault(stream, errorCode.protocolError);
      return;
    }
    this.#guard.earn('noise', 2);
    this.#options.listener.headers(stream, block.fields);
    if (endsStream && !stream.isClosed) this.#messageEnded(stream, undefined);
  }

  #trailersRead(stream: Http2Stream<User>, block: DecodedBlock, endsStream: boolean): void {
    const isMalformed = !endsStream || trailersFault(block.fields) !== undefined;
    if (isMalformed) this.#fault(stream, errorCode.protocolError);
    else this.#messageEnded(stream, block.fields);
  }

  #messageEnded(
    stream: Http2Stream<User>,
    trailers: readonly DecodedField[] | undefined,
  ): void {
    if (stream.isTooShort) {
      this.#fault(stream, errorCode.protocolError);
      return;
    }
    stream.hasEnded = true;
    this.#options.listener.ended(stream, trailers);
    if (stream.isSendingOver) this.#close(stream, false);
  }

  // ---- streams --------------------------------------------------------------------------------

  #newStream(id: number, user: User | undefined): Http2Stream<User> {
    return new Http2Stream<User>(this, user, {
      id,
      sendWindow: this.#sending.streamWindow,
      receiveWindow: this.#options.limits.streamWindowBytes,
      nowMs: this.#options.clock.nowMs(),
    });
  }

  #begin(stream: Http2Stream<User>, fields: readonly HeaderField[]): void {
    this.#streams.begin(stream);
    stream.sendWindow = this.#sending.streamWindow;
    stream.asksHead = fields[0]?.name === ':method' && fields[0].value === 'HEAD';
  }

  /** RST_STREAM for the peer's fault. */
  #fault(stream: Http2Stream<User>, code: number): void {
    this.#writer.reset(stream.id, code);
    this.#tellReset(stream, code, 'fault');
    this.#endure('provoked');
  }

  #tellReset(stream: Http2Stream<User>, code: number, cause: ResetCause): void {
    stream.drop();
    this.#detach(stream, cause === 'fault');
    this.#options.listener.reset(stream, code, cause);
    this.#options.listener.closed(stream);
  }

  #close(stream: Http2Stream<User>, isReset: boolean): void {
    if (stream.isClosed) return;
    this.#detach(stream, isReset);
    this.#options.listener.closed(stream);
  }

  /** What was received and will not be passed on must not hold up the others. */
  #detach(stream: Http2Stream<User>, isReset: boolean): void {
    stream.isClosed = true;
    stream.drop();
    this.#sending.forget(stream);
    this.#streams.delete(stream, isReset);
    if (isReset) this.#guard.earn('late', lateFramesPerReset);
    if (!this.#isOver) this.#receiving.release(stream);
  }

  #closeAll(code: number): void {
    for (const stream of this.#streams.all()) this.#tellReset(stream, code, 'connection');
  }

  /** A frame of a stream that is not open: true when it crossed a word of ours on the wire. */
  #isLate(streamId: number, what: string): boolean {
    const found = this.#streams.find(streamId);
    if (found === 'unknown') this.#refuse(`${what} of a stream that never was`);
    else if (found === 'closed') {
      this.fail(errorCode.streamClosed, `${what} of a stream that is closed`);
    }
    return found === 'late';
  }

  // ---- limits ---------------------------------------------------------------------------------

  /** Counts a nuisance; too many of them end the connection. */
  #endure(nuisance: Nuisance): void {
    this.#touch();
    if (this.#isOver) return;
    const isUnread = this.#writer.waitingBytes > unsentBytesMax + unreadBytesMax;
    if (isUnread) this.fail(errorCode.enhanceYourCalm, 'answers that are not read');
    else if (!this.#guard.allows(nuisance)) {
      this.fail(errorCode.enhanceYourCalm, `too much: ${nuisance}`);
    }
  }

  #refuse(detail: string): void {
    this.fail(errorCode.protocolError, detail);
  }

  /** Something was written: outside of a read somebody has to flush. */
  #touch(): void {
    if (this.#isReading || this.#isFlushDue || this.#isOver) return;
    this.#isFlushDue = true;
    this.#options.transport.flushSoon();
  }
}
