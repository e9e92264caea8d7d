// What the data plane tells about datagrams, as plain data. Like ExchangeObserver it is called on
// the hot path: it counts and returns. A flow is told once, and then counts by the object that the
// observer gave for it.
import type {
  Backend,
  Destination,
  Endpoint,
  PlainReason,
  Source,
  Verdict,
  VirtualHost,
} from '../route/index.ts';
import type { Reason } from './refusals.ts';

/** A flow when it begins. */
export type FlowFacts = {
  readonly source: Source;
  /** Normalised address of the client. */
  readonly remoteAddress: string;
  readonly host: VirtualHost;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly destination: Destination;
};

/**
 * Why a flow ended. `idle`: nothing came for its time. `evicted`: another one took its place.
 * `unreachable`: the pod's host says that nobody listens. `moved`: its pod has left the Service,
 * or the way to it is another one. `policy`: it is not allowed any more. `source`: another pod has
 * its client's address. `closed`: its listener has closed. `refused`: the pod's node did not take
 * it. `failed`: no socket, or a broken one.
 */
export type FlowEnd =
  | 'idle'
  | 'evicted'
  | 'unreachable'
  | 'moved'
  | 'policy'
  | 'source'
  | 'closed'
  | 'refused'
  | 'failed';

/**
 * Why a datagram went nowhere: a reason of contract §4, or one that only datagrams have.
 * `QueueFull`: a socket is not taking. `TooLong`: longer than the way to its receiver allows.
 * `WaitFull`: too many wait for word about their source. `Unsent`: its flow is without a socket.
 */
export type DropReason =
  | Reason
  | 'QueueFull'
  | 'TooLong'
  | 'WaitFull'
  | 'Unsent';

/** Whom a datagram was for, or came from: the service that its listener stands for. */
export type DropPlace = { readonly namespace: string; readonly service: string };

export type FlowMeter = {
  /** A datagram of the client went to the pod. */
  readonly received: (bytes: number) => void;
  /** A datagram of the pod went to the client. */
  readonly sent: (bytes: number) => void;
  readonly ended: (why: FlowEnd) => void;
};

export type UdpObserver = {
  readonly flowOpened: (facts: FlowFacts) => FlowMeter;
  /** Once per flow, and once for each datagram that is denied. */
  readonly flowJudged: (facts: FlowFacts, verdict: Verdict) => void;
  readonly datagramDropped: (place: DropPlace, reason: DropReason) => void;
  /** A flow to a pod of another node, or outside, for which no tunnel is due. */
  readonly flowWentPlain: (reason: PlainReason) => void;
  readonly bugFound: (error: unknown) => void;
};
