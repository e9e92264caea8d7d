// What the data plane tells about TCP connections whose bytes nobody reads, as plain data. A
// connection is told once when it is open, and then counts by the object that the observer gave for
// it; bytes are told now and then while it lives, since some live for days.
import type {
  Backend,
  Destination,
  Endpoint,
  FlowDestination,
  PlainReason,
  Source,
  Verdict,
  VirtualHost,
} from '../route/index.ts';
import type { Reason } from './refusals.ts';

/** One connection; fields fill while it lives and are final when it has ended. */
export type TcpFacts = {
  readonly source: Source;
  /** Normalised address of the client. */
  readonly remoteAddress: string;
  /** What its listener stands for. */
  readonly to: FlowDestination;
  /** Undefined when the service does not have the port any more. */
  readonly host: VirtualHost | undefined;
  /** Of the last attempt. */
  readonly backend: Backend | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly destination: Destination | undefined;
  /** Why we refused it, or cut it. */
  readonly reason: Reason | undefined;
  readonly attempts: number;
  /** From the client, and to it. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Since it was accepted. */
  readonly durationMs: number;
};

/**
 * How a connection ended. `refused`: before a byte of it passed · `ended`: both sides had sent all
 * · `reset`: a side broke it · `cut`: we did.
 */
export type TcpEnd = 'refused' | 'ended' | 'reset' | 'cut';

export type TcpMeter = {
  /** So many bytes more, from the client and to it. */
  readonly moved: (receivedBytes: number, sentBytes: number) => void;
  readonly closed: () => void;
};

export type TcpObserver = {
  /** A pod has taken it. */
  readonly tcpOpened: (facts: TcpFacts) => TcpMeter;
  readonly tcpJudged: (facts: TcpFacts, verdict: Verdict) => void;
  /** An attempt at another endpoint follows one that failed. */
  readonly tcpRetried: (facts: TcpFacts) => void;
  /** It would follow, but the service's budget of retries is used up. */
  readonly tcpBudgetExhausted: (facts: TcpFacts) => void;
  /** Its endpoint takes no new connections for a while. */
  readonly tcpEjected: (facts: TcpFacts) => void;
  /** A connection to a pod of another node, or outside, for which no tunnel is due. */
  readonly tcpWentPlain: (reason: PlainReason) => void;
  /** Told of each, also of those that were never open; their meters are closed by then. */
  readonly tcpEnded: (facts: TcpFacts, end: TcpEnd) => void;
};
