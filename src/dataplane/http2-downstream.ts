// The HTTP/2 side of a client's connection (RFC 9113): one session, one exchange per stream.
// How it leaves (RFC 9113 section 6.8): first a GOAWAY that names no last stream, so that requests
// which are on their way are still served; a second later the real one; FIN when nothing is left.
// Invariant: whatever ends a stream, its exchange ends at once, and nobody else's.
import type { NetworkSocket } from '../lib/network.ts';
import type { RouteTable } from '../route/index.ts';
import { ConnectionList } from './connection-list.ts';
import type { DownstreamConnection, DownstreamSide } from './downstream.ts';
import type { Engine } from './engine.ts';
import type { ExchangeWaits } from './exchange-waits.ts';
import { Exchange } from './exchange.ts';
import { isGrpcType } from './grpc.ts';
import type { Plan } from './hop.ts';
import { rejectHeadTooLarge } from './http1/reject.ts';
import type { Reject } from './http1/reject.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RenderedForwarded } from './http1/serialise.ts';
import { Http2Client } from './http2-client.ts';
import type { StreamOwner } from './http2-client.ts';
import { trailersOf } from './http2-fields.ts';
import { http2Request } from './http2-request.ts';
import { ownResponse } from './http2-response.ts';
import { errorCode } from './http2/frames.ts';
import type { SessionTransport } from './http2/frame-writer.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import { unreadBytesMax, unsentBytesMax } from './http2/limits.ts';
import { Http2Session } from './http2/session.ts';
import type { SessionFailure, SessionListener } from './http2/session-types.ts';
import type { Http2Stream } from './http2/stream.ts';
import { clientUnsentBytesMax, leaveNoticeMs } from './limits.ts';
import { ClientBytes } from './pending-bytes.ts';
import type { ReadBuffer } from './read-buffers.ts';
import { refusalText } from './refusals.ts';
import { RequestPlan } from './request-plan.ts';

type Stream = Http2Stream<Http2Client>;

/** The last request of the connection, which may come again as the same block. */
type Known = {
  readonly lines: readonly DecodedField[];
  readonly isWhole: boolean;
  readonly head: HttpRequestHead;
  plan: Plan | undefined;
};

export class Http2Downstream
implements DownstreamSide, StreamOwner, SessionListener<Http2Client>, SessionTransport {
  readonly engine: Engine;
  readonly buffer: ReadBuffer;
  readonly #connection: DownstreamConnection;
  readonly #socket: NetworkSocket;
  readonly #session: Http2Session<Http2Client>;
  readonly #clients = new ConnectionList<Http2Client>();
  readonly waiting: ClientBytes;
  readonly idleWaits: ExchangeWaits[] = [];
  readonly guarded: (step: () => void) => void;
  #touched: Http2Client[] = [];
  #known: Known | undefined;
  #isFlushDue = false;
  #isShedDue = false;
  #isClosed = false;
  /** The read that is under way has brought a head, or some of a body. */
  #hasMoved = false;
  /** When the first GOAWAY was sent. */
  #noticedMs: number | undefined;
  #hasServed = false;
  forwarded: RenderedForwarded | undefined;
  isReading = false;

  readonly #flush = (): void => this.#session.flush();
  readonly #flushing = (): void => {
    this.#isFlushDue = false;
    this.guarded(this.#flush);
  };

  constructor(connection: DownstreamConnection) {
    const { engine } = connection;
    this.engine = engine;
    this.buffer = connection.buffer;
    this.guarded = connection.guard;
    this.waiting = new ClientBytes(engine.counts, clientUnsentBytesMax, () => this.#shedSoon());
    this.#connection = connection;
    this.#socket = connection.socket;
    this.#session = new Http2Session<Http2Client>({
      role: 'server',
      transport: this,
      listener: this,
      limits: engine.sessionLimits,
      buffers: engine.frameBuffers,
      clock: engine.clock,
    });
    this.#settle();
  }

  get isLeaving(): boolean {
    return this.#noticedMs !== undefined;
  }

  // ---- the connection -------------------------------------------------------------------------

  get isBusy(): boolean {
    return this.#clients.size > 0;
  }

  read(buffer: Buffer, bytes: number): void {
    if (this.#isClosed) return;
    this.isReading = true;
    this.#session.read(buffer, 0, bytes);
    this.isReading = false;
    const touched = this.#touched;
    this.#touched = [];
    for (const client of touched) client.readEnded();
    this.#settle();
    this.#hasMoved = false;
  }

  socketDrained(): void {
    this.#session.drained();
    this.flushSoon();
  }

  /** FIN: nobody half-closes a connection on which windows have to be opened. */
  peerEnded(): void {
    this.#close();
  }

  /** The connection is gone, with everything on it. Idempotent. */
  gone(): void {
    this.#isClosed = true;
    this.#connection.wait.end();
    this.#session.disconnected();
  }

  drainBegan(): void {
    if (this.#hasServed) this.notice();
  }

  /** Drain: a connection that has served something is told at once, a new one with its answer. */
  closeIfIdle(): void {
    if (this.#isClosed) return;
    const nowMs = this.engine.clock.nowMs();
    if (this.#noticedMs === undefined) {
      if (this.#hasServed || this.#isQuiet) this.notice();
      return;
    }
    if (nowMs < this.#noticedMs + leaveNoticeMs) return;
    this.#session.leave();
    if (this.#clients.size === 0) this.#close();
  }

  /** The first word of its leaving. */
  notice(): void {
    if (this.#noticedMs !== undefined || this.#isClosed) return;
    this.#noticedMs = this.engine.clock.nowMs();
    this.#session.announceLeave();
  }

  /** Ends streams that the new table does not allow any more (contract §4). */
  recheck(table: RouteTable): void {
    // Idle connections keep no old table alive.
    this.#known = undefined;
    this.#clients.forEach(({ exchange }) => {
      if (exchange?.isStoppedBy(table) === true) exchange.refuse('Stopped');
      else if (exchange?.isAllowedBy(table) === false) exchange.refuse('RouteNotAllowed');
    });
  }

  /** A bug on this connection: all that is on it ends. */
  endAfterBug(): void {
    this.isReading = false;
    this.#session.fail(errorCode.internalError, 'a fault of the proxy');
  }

  // ---- the transport of the session -----------------------------------------------------------

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.engine.turnEnd.add(this.#flushing);
  }

  // ---- what streams need ----------------------------------------------------------------------

  touched(client: Http2Client): void {
    if (this.isReading) this.#touched.push(client);
  }

  answered(): void {
    this.#hasServed = true;
    if (this.engine.isDraining) this.notice();
  }

  // ---- what the session tells -----------------------------------------------------------------

  headers(stream: Stream, fields: readonly DecodedField[]): void {
    // The frame that has ended the connection may have been this stream's own.
    if (this.#isClosed) return;
    this.#hasMoved = true;
    // DATA waits in its stream, and streams are counted; heads are written, and their streams over.
    if (this.unsentBytes > unsentBytesMax + unreadBytesMax) {
      this.#session.fail(errorCode.enhanceYourCalm, 'answers that are not read');
      return;
    }
    const client = new Http2Client(this, stream);
    stream.user = client;
    this.#clients.add(client);
    this.#connection.wait.end();
    const known = this.#headOf(fields, stream.hasEnded);
    if ('kind' in known) this.#refuse(stream, fields, known);
    else this.#begin(client, known, stream.hasEnded);
  }

  /** A request whose head is not known cannot be more than told so. */
  tooLarge(stream: Stream): boolean {
    if (stream.user !== undefined) return false;
    if (this.#isClosed) return true;
    const reject = rejectHeadTooLarge('head over a limit');
    this.#reject(stream, reject, '');
    return true;
  }

  data({ user }: Stream, buffer: Buffer, start: number, end: number): void {
    this.#hasMoved = true;
    user?.dataCame(buffer, start, end);
  }

  ended({ user }: Stream, trailers: readonly DecodedField[] | undefined): void {
    user?.ended(trailers === undefined ? undefined : trailersOf(trailers));
  }

  reset(): void {
    // `closed` follows, and ends the exchange whatever the cause is.
  }

  drained({ user }: Stream): void {
    user?.drained();
  }

  closed({ user }: Stream): void {
    if (user === undefined) return;
    this.#clients.remove(user);
    user.closed();
    if (!this.isReading) this.#settle();
  }

  goAway(): void {
    // The client opens no more streams here; those that are open go on.
  }

  settled(): void {}

  pingAnswered(): void {}

  failed({ detail }: SessionFailure): void {
    const { remoteAddress, servicePort } = this.#connection;
    const reason = 'BadRequestSyntax';
    const facts = { reason, status: 0, remoteAddress, servicePort, detail } as const;
    this.engine.observer.requestRejected(facts);
    // Who does not read is not waited for.
    if (this.unsentBytes <= unsentBytesMax) return this.#close();
    this.#isClosed = true;
    this.#connection.cut();
  }

  // ---- requests -------------------------------------------------------------------------------

  #headOf(lines: readonly DecodedField[], isWhole: boolean): Known | Reject {
    const known = this.#known;
    if (known?.lines === lines && known.isWhole === isWhole) return known;
    const { engine, servicePort } = this.#connection;
    const head = http2Request(lines, isWhole, { limits: engine.headLimits, servicePort });
    if ('kind' in head) return head;
    this.#known = { lines, isWhole, head, plan: undefined };
    return this.#known;
  }

  #begin(client: Http2Client, known: Known, isWhole: boolean): void {
    const { engine } = this;
    const { table } = engine;
    if (table === undefined) {
      this.#socket.destroy();
      return;
    }
    const { head } = known;
    const { remoteAddress } = this.#connection;
    const plan = known.plan?.isOf(table, head) === true
      ? known.plan
      : new RequestPlan({ engine, client, table, head, remoteAddress });
    known.plan = plan;
    const isBodyComplete = isWhole;
    client.begin(new Exchange({ engine, client, plan, isBodyComplete }), isBodyComplete);
  }

  /** Well-formed, and no request that anybody could route: a stream's affair. */
  #refuse(stream: Stream, lines: readonly DecodedField[], reject: Reject): void {
    if (lines.some(({ name, value }) => name === 'content-type' && isGrpcType(value))) {
      this.#count(reject);
      stream.reset(errorCode.protocolError);
    } else {
      const text = lines.some(isHeadMethod) ? '' : `${refusalText(reject.reason, undefined)}\n`;
      this.#reject(stream, reject, text);
    }
  }

  #reject(stream: Stream, reject: Reject, text: string): void {
    const { reason, status } = reject;
    this.#count(reject);
    const body = Buffer.from(text, 'latin1');
    const date = this.engine.httpDate();
    stream.sendHeaders(ownResponse({ status, reason, date }, body.length));
    stream.sendData(body, 0, body.length);
    stream.end();
    if (!stream.isClosed && stream.isSendingOver) stream.reset(errorCode.noError);
  }

  #count({ reason, status, detail }: Reject): void {
    const { remoteAddress, servicePort } = this.#connection;
    const facts = { reason, status, remoteAddress, servicePort, detail };
    this.engine.observer.requestRejected(facts);
  }

  // ---- answers that are not taken -------------------------------------------------------------

  /** Not at once: whoever counts is in the midst of an answer. */
  #shedSoon(): void {
    if (this.#isShedDue) return;
    this.#isShedDue = true;
    this.engine.turnEnd.add(() => this.guarded(() => this.#shed()));
  }

  /** Older streams are nearer to their end, and were there before the others. */
  #shed(): void {
    this.#isShedDue = false;
    const waiting: Http2Client[] = [];
    this.#clients.forEach((client) => {
      if (client.waitingBytes > 0) waiting.push(client);
    });
    // What is counted is what waited when it was looked at; some may have left since.
    let bytes = waiting.reduce((sum, client) => sum + client.waitingBytes, 0);
    waiting.sort((one, other) => other.streamId - one.streamId);
    for (const client of waiting) {
      if (bytes <= clientUnsentBytesMax) return;
      bytes -= client.waitingBytes;
      client.shed();
    }
  }

  // ---- waiting, ends --------------------------------------------------------------------------

  get #isQuiet(): boolean {
    return this.#clients.size === 0 && this.#connection.wait.phase === 'keep-alive';
  }

  /** Chooses what the connection waits for, once everything that came has been looked at. */
  #settle(): void {
    if (this.#isClosed) return;
    const { wait } = this.#connection;
    const { headTimeoutMs, keepAliveTimeoutMs } = this.engine.limits;
    if (this.#session.isInMidst || !this.#session.hasSettings) {
      // Reads that all end amid a frame are no slow frame.
      if (wait.phase !== 'head' || this.#hasMoved) wait.begin('head', headTimeoutMs);
    } else if (this.#clients.size > 0) wait.end();
    else if (wait.phase !== 'keep-alive') wait.begin('keep-alive', keepAliveTimeoutMs);
  }

  /** A phase of the connection took too long. */
  expired(): void {
    if (this.#session.isInMidst) this.#session.fail(errorCode.enhanceYourCalm, 'too slow');
    else {
      this.#session.leave();
      this.#close();
    }
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#session.flush();
    this.#isClosed = true;
    this.#session.disconnected();
    this.#connection.close();
  }
}

function isHeadMethod({ name, value }: DecodedField): boolean {
  return name === ':method' && value === 'HEAD';
}
