// What whoever wants a place at an endpoint says of itself: how much room there has to be, and the
// ticket that holds what it has got. Places are counted and shared out in places.ts.
import type { Backend } from '../route/index.ts';

/** Connections of this worker to endpoints. */
export type OwnConnections = {
  /** One that is open could take a request; `isWanted`: another worker waits for its place. */
  hasSpare(endpointId: string, isWanted: boolean): boolean;
  /** Closes one that nobody uses; false: there is none. */
  giveUp(endpointId: string): boolean;
  /** Endpoints to which there are connections that nobody may be using. */
  endpointIds(): Iterable<string>;
};

/** What a place has to be within; `Infinity`: no such limit. */
export type Wish = {
  /** Any of its endpoints would do. */
  readonly backend: Pick<Backend, 'id' | 'endpoints'>;
  readonly requestsMax: number;
  readonly connectionsMax: number;
  /** Where one that is open already would do; undefined: only a new one will. */
  readonly spare: OwnConnections | undefined;
};

/** Who may wait: an exchange, or a TCP connection. */
export type Waiting = {
  /** Its place in line or at an endpoint; undefined: it has asked for none yet. */
  ticket: Ticket | undefined;
  /** `resume` is called by then at the latest. */
  pause(ms: number): void;
  /** Chooses an endpoint and asks for a place there once more. */
  resume(): void;
};

/** What an exchange holds: a place at an endpoint, or one in line. */
export class Ticket {
  /** The cell that was counted up for the attempt that follows. */
  cell: number | undefined;
  /** That of the connection which has to be opened for it. */
  connection: number | undefined;
  /** When it asked first since it had a place last: each attempt may wait. */
  sinceMs: number | undefined;
  wish: Wish | undefined;
  isInLine = false;
  /** Where in line it was woken; who finds no place is there again. */
  wokenAt: number | undefined;

  /** The place, for who counts it down from now on. */
  takeCell(): number | undefined {
    const { cell } = this;
    this.cell = undefined;
    return cell;
  }

  /** The same of its connection. */
  takeConnection(): number | undefined {
    const { connection } = this;
    this.connection = undefined;
    return connection;
  }
}
