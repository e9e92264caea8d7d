// What is known of one key and use of tunnels: who waits, what is being dialled, and what is open.
// It is a record; tunnel-pool.ts works with it, and forgets it when nothing is left.
import type { Clock, Random } from '../lib/clock.ts';
import type { PeerPart } from '../snapshot/index.ts';
import type { Credentials } from './credentials.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import type { HeadLimits } from './http1/limits.ts';
import type { FrameBuffers } from './http2/frame-writer.ts';
import type { TunnelUse } from './peer-check.ts';
import type { BodyBuffers } from './read-buffers.ts';
import type { TurnClock } from './turn-clock.ts';
import type { TurnEnd } from './turn-end.ts';
import type { TunnelDial } from './tunnel-dial.ts';
import { nameOf } from './tunnel-key.ts';
import type { TunnelIdentities, TunnelKey } from './tunnel-key.ts';
import type { LaneSession } from './tunnel-lanes.ts';
import type { TunnelLife } from './tunnel-life.ts';
import type { TunnelWait } from './tunnel-wait.ts';
import type { UpstreamConnection } from './upstream.ts';

export type TunnelPoolsOptions = {
  readonly credentials: Pick<Credentials, 'of' | 'own'>;
  readonly frameBuffers: FrameBuffers;
  readonly turnEnd: TurnEnd;
  readonly identities: TunnelIdentities;
  readonly peers: () => PeerPart | undefined;
  readonly deadlines: Deadlines;
  readonly limits: HeadLimits;
  readonly buffers: BodyBuffers;
  readonly clock: TurnClock & Clock;
  readonly random: Random;
  readonly localAddress: string | undefined;
  readonly bugFound: (error: unknown) => void;
  /** A handshake has ended: `ok`, or what went wrong. */
  readonly dialled: (node: string, result: string, message: string) => void;
  readonly opened: () => void;
  readonly closed: () => void;
};

/** Handshakes at once for one key: each costs a millisecond of CPU. */
export const dialsPerKeyMax = 8;

/** Sessions that give lanes, 256 each. */
const givingSessionsMax = 16;
/**
 * Together with those that only serve what they have to the end: one long request on each session
 * that was replaced must not keep out all others.
 */
const sessionsMax = 64;

/** What is known of one key and use. */
export type KeyPool = Pick<TunnelKey, 'id' | 'node'> & {
  readonly name: string;
  readonly use: TunnelUse;
  /** Newest last. */
  readonly idle: UpstreamConnection[];
  /** Which give lanes. */
  readonly sessions: Set<LaneSession<KeyPool>>;
  readonly waiting: Set<TunnelWait>;
  readonly dials: Set<TunnelDial>;
  /** Tunnels that were greeted and have not closed. */
  open: number;
  /** Handshakes at once: one may do for all, as long as nobody has said that it does not. */
  dialsMost: number;
  isServeDue: boolean;
  /** Which of the node's addresses is dialled next. */
  turn: number;
  /** Rounds of all addresses that have failed since one was greeted. */
  failures: number;
  /** A round has failed; the next one has to wait for this. */
  readonly redial: Deadline;
};

/** A connection, and the tunnel that it is or is in. */
export type Member = {
  readonly life: TunnelLife<KeyPool>;
  readonly session: LaneSession<KeyPool> | undefined;
  /** What its request calls. */
  lines: string | undefined;
};

export function newKeyPool(key: TunnelKey, use: TunnelUse, redial: Deadline): KeyPool {
  return {
    id: key.id,
    node: key.node,
    name: nameOf(key, use),
    use,
    idle: [],
    sessions: new Set(),
    waiting: new Set(),
    dials: new Set(),
    open: 0,
    dialsMost: use === 'requests' ? 1 : dialsPerKeyMax,
    isServeDue: false,
    turn: 0,
    failures: 0,
    redial,
  };
}

/** That has room for one more lane. */
export function freeSession({ sessions }: KeyPool): LaneSession<KeyPool> | undefined {
  for (const session of sessions) if (session.hasRoom) return session;
  return undefined;
}

/** That one more may be dialled. */
export function maySessionsGrow({ sessions }: KeyPool): boolean {
  if (sessions.size >= sessionsMax) return false;
  let giving = 0;
  for (const session of sessions) if (!session.isLeaving) giving += 1;
  return giving < givingSessionsMax;
}
