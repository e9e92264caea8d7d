// What an exchange may do to the client that its request came from: an HTTP/1.1 connection
// (downstream.ts) or one stream of an HTTP/2 connection (http2-client.ts). This type keeps them
// and the exchange from knowing each other's insides.
import type { Answer } from './answer.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RenderedForwarded } from './http1/serialise.ts';
import type { ExchangeWaits } from './exchange-waits.ts';
import type { ReadBuffer } from './read-buffers.ts';

/** What becomes of the connection when an exchange is over. */
export type ConnectionFate =
  /** The next request may come. */
  | 'keep'
  /** The answer said `Connection: close`. */
  | 'close'
  /** The answer is cut off: it must not look complete. */
  | 'cut';

export type Client = {
  /** Deadlines of the exchange that is under way. */
  readonly waits: ExchangeWaits;
  /** What was forwarded of this client last, rendered; `request-fields.ts` owns it. */
  forwarded: RenderedForwarded | undefined;
  /** Bytes that the kernel has not taken yet. */
  readonly unsentBytes: number;
  /** More than that should not be written now: `Exchange.clientDrained` tells when. */
  readonly isFull: boolean;
  /** The rest of the request's body is short enough to be read and dropped. */
  readonly canSkipBody: boolean;
  /** The connection is to end with its next answer. */
  readonly isLeaving: boolean;
  /** The client has sent its FIN; it may still read. */
  readonly hasEnded: boolean;
  /** What the client sends is being read: if nothing comes, it is late. */
  readonly isListenedTo: boolean;
  /** A read is being parsed; `Exchange.clientReadEnded` follows. */
  readonly isReading: boolean;
  /** The way back for the answer to this request. */
  answerTo(request: HttpRequestHead): Answer;
  /** False: full. */
  write(data: Uint8Array | string): boolean;
  /** Collects writes until `flush`. */
  cork(): void;
  flush(): void;
  /** Whose bytes are in whose write queue. */
  readonly buffer: ReadBuffer;
  pauseReading(): void;
  resumeReading(): void;
  /** Bytes behind an upgrade request; what follows goes to `Exchange.tunnelFromClient`. */
  startTunnel(): readonly Buffer[];
  endTunnel(): void;
  exchangeEnded(fate: ConnectionFate): void;
};
