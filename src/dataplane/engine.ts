// What all connections of one worker share. The current table is a pointer that `publish` swaps; an
// exchange reads it once (A5). Everything else here is live state or a limit, keyed by stable names
// so that it survives every snapshot.
import type { Random } from '../lib/clock.ts';
import type { RouteTable } from '../route/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import type { Deadlines } from './deadlines.ts';
import type { EndpointLoads } from './endpoint-load.ts';
import type { HeadLimits } from './http1/limits.ts';
import type { FrameBuffers } from './http2/frame-writer.ts';
import type { SessionLimits } from './http2/limits.ts';
import type { DataplaneLimits } from './limits.ts';
import type { ExchangeObserver } from './observer.ts';
import type { Http2Pools } from './http2-pool.ts';
import type { Mirrors } from './mirrors.ts';
import type { OpenConnections } from './open-connections.ts';
import type { Pools } from './pool.ts';
import type { BodyBuffers } from './read-buffers.ts';
import type { RetryBudgets } from './retries.ts';
import type { SecurePools } from './secure-pools.ts';
import type { TrafficGate } from './traffic-gate.ts';
import type { TrustedSources } from './trusted-sources.ts';
import type { TunnelPools } from './tunnel-pool.ts';
import type { TurnEnd } from './turn-end.ts';
import type { TunnelSessions } from './tunnel-sessions.ts';
import type { TurnClock } from './turn-clock.ts';

/** Makers of ids for requests that bring none. */
export type IdMakers = {
  readonly requestId: () => string;
  /** A W3C traceparent. */
  readonly traceparent: () => string;
};

/** Live counts; the invariant is that each is zero when nothing is open. */
export type Counts = {
  connections: number;
  /** Exchanges and tunnels in flight. */
  exchanges: number;
  lingering: number;
  /** Bytes that wait in our memory: kept request bodies, pipelined requests, unsent answers. */
  bufferedBytes: number;
};

export type Engine = {
  readonly clock: TurnClock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  /** For the few waits of some milliseconds. */
  readonly fineDeadlines: Deadlines;
  readonly slots: SlotView;
  readonly loads: EndpointLoads;
  readonly budgets: RetryBudgets;
  readonly gate: TrafficGate;
  readonly limits: DataplaneLimits;
  readonly headLimits: HeadLimits;
  readonly trusted: TrustedSources;
  readonly observer: ExchangeObserver;
  readonly ids: IdMakers;
  readonly pools: Pools;
  /** Connections to pods that serve HTTPS. */
  readonly securePools: SecurePools;
  /** Connections to pods that speak HTTP/2. */
  readonly http2Pools: Http2Pools;
  /** Connections to pods, of whatever kind. */
  readonly opened: OpenConnections;
  /** Undefined: this worker opens no tunnels. */
  tunnels: TunnelPools | undefined;
  /** The same, of those that carry TCP connections. */
  tunnelSessions: TunnelSessions | undefined;
  /** Undefined: what is sent here is not copied. */
  mirrors: Mirrors | undefined;
  /** That of copies which come by tunnel; undefined: whatever says that it is one is none. */
  readonly copies: Engine | undefined;
  /** What it sends are copies: limits hold for them, but they wait for no place. */
  readonly carriesCopies: boolean;
  /** Its clients are other proxies: what it refuses it says as a proxy. */
  readonly answersTunnels: boolean;
  readonly buffers: BodyBuffers;
  readonly sessionLimits: SessionLimits;
  readonly frameBuffers: FrameBuffers;
  readonly turnEnd: TurnEnd;
  readonly counts: Counts;
  /** Now as a Date field says it (RFC 9110 5.6.7). */
  readonly httpDate: () => string;
  /** Undefined before the first `publish`. */
  table: RouteTable | undefined;
  isDraining: boolean;
};
