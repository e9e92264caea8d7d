// The called side of a session that carries connections of HTTP/1.1 (docs/design/0013): each of its
// lanes becomes a client connection like any other, as long as the worker and the peer's share of
// it have room for one. Where there is none the lane is refused, unread. They leave together.
import type { DownstreamConnection } from './downstream.ts';
import { TunnelLane } from './tunnel-lane.ts';
import type { ArrivedConnection, ArrivedSocket } from './tunnel-listener.ts';
import { TunnelSession } from './tunnel-session.ts';

export type ArrivedLanesOptions = {
  readonly made: ArrivedSocket;
  /** Makes a connection of a lane. */
  readonly enter: (lane: TunnelLane, closed: () => void) => DownstreamConnection;
};

export class ArrivedLanes implements ArrivedConnection {
  readonly #options: ArrivedLanesOptions;
  readonly #session: TunnelSession<TunnelLane>;
  readonly #connections = new Set<DownstreamConnection>();
  #isLeaving = false;

  constructor(options: ArrivedLanesOptions) {
    const { engine, socket, closed } = options.made;
    this.#options = options;
    this.#session = new TunnelSession<TunnelLane>({
      role: 'server',
      engine,
      socket,
      make: () => new TunnelLane(engine.turnEnd),
      arrived: (lane) => this.#arrived(lane),
      changed: () => undefined,
      closed,
    });
  }

  /** The next answer of each connection is its last one. */
  leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    for (const connection of this.#connections) connection.leave();
    this.#session.leave();
  }

  destroy(): void {
    this.#session.destroy();
  }

  #arrived(lane: TunnelLane): void {
    const { made, enter } = this.#options;
    if (!made.share.takes()) {
      lane.refuse();
      return;
    }
    lane.accept();
    const connection: DownstreamConnection = enter(lane, () => {
      this.#connections.delete(connection);
      made.share.gives();
    });
    this.#connections.add(connection);
    if (this.#isLeaving) connection.leave();
  }
}
