// Everything that the data plane says itself instead of passing an answer on: the one table from
// reason to status and text (contract §4). A text is one line that names the cause and the next
// command to run; it holds no header value of the user, and of the path only what a shell takes
// literally, because people paste the command.
import type { RequestHead, Source } from '../route/index.ts';
import type { UpstreamFailure } from './upstream.ts';

type Refusal = { readonly status: number; readonly cause: string };

const table = {
  UnknownService: { status: 404, cause: 'no service of the mesh has this name on this port' },
  SourceNotAllowed: { status: 403, cause: 'no TrafficTarget allows the caller' },
  RouteNotAllowed: { status: 403, cause: 'the caller is allowed, but not this request' },
  SourceUnknown: { status: 403, cause: 'the caller is no known workload of this node' },
  NoEndpoints: { status: 503, cause: 'the service has no ready endpoint' },
  NoBackendWeight: { status: 503, cause: 'all weights of the TrafficSplit are zero' },
  Stopped: { status: 503, cause: 'its owner has stopped traffic to the service' },
  UpstreamConnect: {
    status: 502,
    cause:
      'no connection to an endpoint could be opened, or none in which it showed the certificate ' +
      'that weft.dev/tls-verify asks for',
  },
  UpstreamReset: { status: 502, cause: 'the endpoint closed the connection before it answered' },
  UpstreamProtocol: {
    status: 502,
    cause:
      'the endpoint sent no well-formed HTTP answer; one that expects TLS or HTTP/2 needs ' +
      'weft.dev/scheme: https or h2c on its Service, one that is no HTTP server ' +
      'weft.dev/traffic-type: tcp',
  },
  TimeoutConnect: { status: 504, cause: 'connecting to an endpoint took too long' },
  TimeoutRequest: { status: 504, cause: 'the answer took longer than the timeout of the service' },
  TimeoutIdle: { status: 504, cause: 'nothing was sent in either direction for too long' },
  TunnelUnavailable: {
    status: 503,
    cause: 'no tunnel to the node of the endpoint, and none is allowed without',
  },
  IdentityPending: { status: 503, cause: 'the caller has no certificate yet' },
  PodNotHere: { status: 503, cause: 'the pod that the tunnel names is not on this node' },
  Shedding: { status: 503, cause: 'the proxy is at its limit of connections or memory' },
  RateLimited: { status: 429, cause: 'the caller is over its rate limit at this service' },
  CircuitOpen: { status: 503, cause: 'the circuit breaker of the service is open' },
  Overloaded: {
    status: 503,
    cause: 'the endpoints have as many requests or connections as they may',
  },
  FaultInjected: { status: 503, cause: 'a fault that the owner of the service has asked for' },
  Loop: { status: 508, cause: 'the request has passed proxies of the mesh 8 times' },
  Bug: { status: 500, cause: 'a fault of the proxy; it is counted and logged' },
  WrongProtocol: {
    status: 400,
    cause:
      'the client speaks TLS and the mesh serves HTTP on this port; call http:// here, or ' +
      'set weft.dev/traffic-type: tcp on the Service to have TLS passed through',
  },
  BadRequestSyntax: { status: 400, cause: 'the request is malformed' },
  BadRequestFraming: { status: 400, cause: 'the length of the request body is ambiguous' },
  BadRequestHost: { status: 400, cause: 'the Host field is missing, repeated or malformed' },
  BadRequestTimeout: { status: 408, cause: 'the rest of the request did not arrive in time' },
  BadRequestBodyTooLarge: { status: 413, cause: 'the request body is over the limit' },
  BadRequestTargetTooLong: { status: 414, cause: 'the request target is over the limit' },
  BadRequestHeadTooLarge: { status: 431, cause: 'the request head is over the limit' },
  BadRequestUnsupported: { status: 501, cause: 'the proxy does not serve this kind of request' },
} satisfies Record<string, Refusal>;

/** Why an exchange did not get the answer of a pod; stable, listed in the reasons reference. */
export type Reason = keyof typeof table;

/** What a failed connection to an endpoint means to the client. */
export function failureReason(kind: UpstreamFailure['kind']): Reason {
  switch (kind) {
    case 'connect':
      return 'UpstreamConnect';
    case 'connect-timeout':
      return 'TimeoutConnect';
    case 'tunnel':
      return 'TunnelUnavailable';
    case 'identity':
      return 'IdentityPending';
    case 'reset':
    case 'refused':
      return 'UpstreamReset';
    case 'protocol':
      return 'UpstreamProtocol';
    case 'bug':
      return 'Bug';
  }
}

/** Why bytes never became a request; `detail` is for logs. */
export type HeadReject = {
  readonly reason: Reason;
  readonly status: number;
  readonly detail: string;
  readonly isForeign?: true;
};

export const headTimedOut: HeadReject = {
  reason: 'BadRequestTimeout',
  status: 408,
  detail: 'head timed out',
};

export type RefusalPlace = {
  readonly source: Source;
  readonly request: RequestHead;
};

const shellSafePath = /^\/[\w/.~%-]{0,200}$/;

export function isReason(text: string): text is Reason {
  return Object.hasOwn(table, text);
}

export function reasonStatus(reason: Reason): number {
  return table[reason].status;
}

/** The line that a client reads; `place` is unknown when the head could not be parsed. */
export function refusalText(reason: Reason, place: RefusalPlace | undefined): string {
  const { cause } = table[reason];
  if (place === undefined) return `weft: ${cause} (${reason}); next: weft check`;
  return `weft: ${cause} (${reason}); next: ${explainCommand(place)}`;
}

function explainCommand({ source, request }: RefusalPlace): string {
  const caller = source.kind === 'workload' ? source.principal : 'unknown';
  const port = request.servicePort === 80 ? '' : `:${request.servicePort}`;
  const path = shellSafePath.test(request.path) ? request.path : '/';
  return `weft explain ${caller} ${request.method} http://${request.hostname}${port}${path}`;
}
