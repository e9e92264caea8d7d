// What the data plane tells about itself, as plain data: metrics, access log and tap are built on
// it elsewhere. An observer is called on the hot path: it counts and returns, it never waits or
// throws.
import type {
  Backend,
  Destination,
  Endpoint,
  PlainReason,
  RequestHead,
  Source,
  Verdict,
  VirtualHost,
} from '../route/index.ts';
import type { MirrorOutcome } from './mirror-outcome.ts';
import type { Reason } from './refusals.ts';

/**
 * How an exchange ended: the answer of a pod went out whole · we answered ourselves · the client
 * left first · it was broken off after the answer had begun.
 */
export type ExchangeOutcome = 'answered' | 'refused' | 'cancelled' | 'broken';

/** What only HTTP/2 tells apart. */
export type AnswerFacts = {
  /** Of the client. */
  readonly protocol: 'http/1.1' | 'http/2';
  /** Of a call of gRPC, 0–16; `unknown`: none has come, or none that is known. */
  readonly grpcStatus: number | 'unknown' | undefined;
};

/** One exchange; fields fill while it goes on and are final when it is finished. */
export type ExchangeFacts = {
  readonly source: Source;
  /** Normalised address of the peer. */
  readonly remoteAddress: string;
  readonly request: RequestHead;
  readonly requestId: string;
  readonly traceparent: string;
  /** Undefined when no service has the name. */
  readonly host: VirtualHost | undefined;
  /** Of the last attempt. */
  readonly backend: Backend | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly destination: Destination | undefined;
  /** What the client got; 0 = nothing. */
  readonly status: number;
  readonly reason: Reason | undefined;
  readonly answer: AnswerFacts;
  readonly attempts: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Monotonic. */
  readonly startedMs: number;
  /** Since start, when the first byte of the answer went out; undefined before. */
  readonly firstByteMs: number | undefined;
  readonly durationMs: number;
};

/** One try at one endpoint. */
export type AttemptFacts = {
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly destination: Destination | undefined;
  /** Status of the pod's answer, or what its failure stands for (502, 504). */
  readonly status: number;
  /** What the pod said of a call of gRPC, 0–16; undefined: nothing, or it was no such call. */
  readonly grpcStatus: number | undefined;
  readonly reason: Reason | undefined;
  readonly durationMs: number;
  readonly isCancelled: boolean;
  /** It ended for a reason of its caller, as far as can be told: says nothing of the pod. */
  readonly saysNothing: boolean;
};

/** A request that never became an exchange: its bytes were no valid request. */
export type RejectFacts = {
  readonly reason: Reason;
  readonly status: number;
  readonly remoteAddress: string;
  readonly servicePort: number;
  readonly detail: string;
};

/** Of a second attempt beside a slow one: its answer was the one, or not, or it failed. */
export type HedgeOutcome = 'won' | 'lost' | 'failed';

export type TunnelSide = 'client' | 'server';

export type HandshakeFacts = {
  readonly side: TunnelSide;
  /** The node that was dialled, or the address that dialled; for logs. */
  readonly peer: string;
  /** `ok`, or one of few words for what went wrong. */
  readonly result: string;
  readonly message: string;
};

export type ExchangeObserver = {
  readonly connectionOpened: () => void;
  readonly connectionClosed: () => void;
  /** Over the limit of connections; answered 503 and closed. */
  readonly connectionShed: () => void;
  readonly exchangeStarted: (facts: ExchangeFacts) => void;
  readonly policyDecided: (facts: ExchangeFacts, verdict: Verdict) => void;
  readonly attemptFinished: (facts: ExchangeFacts, attempt: AttemptFacts) => void;
  readonly retryStarted: (facts: ExchangeFacts) => void;
  readonly retryBudgetExhausted: (facts: ExchangeFacts) => void;
  readonly hedgeEnded: (facts: ExchangeFacts, outcome: HedgeOutcome) => void;
  /** The endpoint of its attempt fails too often, and gets no requests for a while. */
  readonly endpointEjected: (facts: ExchangeFacts) => void;
  readonly exchangeFinished: (facts: ExchangeFacts, outcome: ExchangeOutcome) => void;
  /** The request was refused or held up on purpose (`weft.dev/fault`). */
  readonly faultInjected: (facts: ExchangeFacts, fault: 'abort' | 'delay') => void;
  /** A copy of a request to this service has ended, or was not made (`weft.dev/mirror`). */
  readonly copyEnded: (mirror: VirtualHost, outcome: MirrorOutcome) => void;
  readonly requestRejected: (facts: RejectFacts) => void;
  /** A tunnel's handshake has ended, on either side. */
  readonly tunnelHandshake: (facts: HandshakeFacts) => void;
  readonly tunnelOpened: (side: TunnelSide) => void;
  readonly tunnelClosed: (side: TunnelSide) => void;
  /** An attempt at a pod of another node, or outside, for which no tunnel is due. */
  readonly wentPlain: (reason: PlainReason) => void;
  /** A fault of ours; the connection it happened on is gone, everything else goes on. */
  readonly bugFound: (error: unknown) => void;
};

const ignore = (): void => undefined;

/** Sees nothing; for tests, and where only some of the events matter. */
export const silentObserver: ExchangeObserver = {
  connectionOpened: ignore,
  connectionClosed: ignore,
  connectionShed: ignore,
  exchangeStarted: ignore,
  policyDecided: ignore,
  attemptFinished: ignore,
  retryStarted: ignore,
  retryBudgetExhausted: ignore,
  hedgeEnded: ignore,
  endpointEjected: ignore,
  exchangeFinished: ignore,
  faultInjected: ignore,
  copyEnded: ignore,
  requestRejected: ignore,
  tunnelHandshake: ignore,
  tunnelOpened: ignore,
  tunnelClosed: ignore,
  wentPlain: ignore,
  bugFound: ignore,
};
