// What moves the bytes of one secured connection: `StreamCarrier` here over the public streams of
// `node:tls`, `DirectCarrier` (direct-carrier.ts) past them. Either takes one write at a time and
// knows neither queues nor half-closes: those are secure-stream.ts's. Invariant: nothing is told
// from within a call of the user.
import type tls from 'node:tls';
import type { SocketReader } from '../lib/network.ts';

/** Texts are latin1: a character is a byte. */
export type Piece = Uint8Array | string;

export type Carrier = {
  /** May be called again: from then on the new reader gets what comes. */
  readInto(reader: SocketReader): void;
  pause(): void;
  resume(): void;
  /** Only when no write is under way. True: the kernel has it; `written` comes in either case. */
  write(piece: Piece): boolean;
  /** Only when no write is under way. Ends our way; `isLast`: theirs is nobody's any more. */
  end(isLast: boolean): void;
  /** Nothing is told from here on. */
  close(): void;
};

/** Errors and the close are told by the socket itself. */
export type CarrierEvents = {
  /** The write that was under way is over, and the next one may come. */
  readonly written: () => void;
  /** The peer has ended its way. */
  readonly ended: () => void;
};

export class StreamCarrier implements Carrier {
  readonly #socket: tls.TLSSocket;
  readonly #events: CarrierEvents;
  #reader: SocketReader | undefined;

  constructor(socket: tls.TLSSocket, events: CarrierEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on('end', events.ended);
  }

  readInto(reader: SocketReader): void {
    const isFirst = this.#reader === undefined;
    this.#reader = reader;
    // Node brings a fresh buffer with each read; the reader may do with it as with its own.
    if (isFirst) this.#socket.on('data', (data: Buffer) => this.#reader?.read(data, data.length));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  write(piece: Piece): boolean {
    this.#socket.write(piece, 'latin1', (error) => {
      // An error is told by its own event.
      if (error === null || error === undefined) this.#events.written();
    });
    return false;
  }

  end(isLast: boolean): void {
    if (isLast) this.#socket.destroySoon();
    else this.#socket.end();
  }

  close(): void {
    this.#reader = undefined;
  }
}
