// What follows from the head of a request that came by tunnel: nothing is routed here, no second
// tunnel is opened. The pod that the caller's proxy chose is looked up in this node's own table,
// and the caller – who its certificate proves him to be – is judged against that pod. What the
// caller's proxy has written for the pod passes on as it is: the two proxies of a call are one hop.
import { authorise, endpointOfTunnel, unauthenticated } from '../route/index.ts';
import type {
  Backend,
  Decision,
  Endpoint,
  RouteTable,
  Source,
  TunnelEnd,
  Verdict,
} from '../route/index.ts';
import type { Arrivals } from './arrivals.ts';
import type { Hop, Plan } from './hop.ts';
import { flatText } from './http1/bytes.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { renderArrivedParts, withIds } from './http1/serialise.ts';
import type { RequestHeadParts, RequestIds } from './http1/serialise.ts';
import type { Reason } from './refusals.ts';
import { sentRequestId, sentTraceparent } from './request-fields.ts';
import { isIdempotent } from './retry-policy.ts';
import { readTunnelFields } from './tunnel-fields.ts';
import type { TunnelDeadline, TunnelFields } from './tunnel-fields.ts';
import { readTunnelIds } from './tunnel-ids.ts';

const nowhere: Decision = { kind: 'refuse', reason: 'UnknownService', host: undefined };

const noValues: readonly string[] = [];

/** What the connection says of all its requests. */
export type ArrivedFrom = {
  /** Whom the peer's certificate proves to call. */
  readonly source: Source;
  readonly arrivals: Arrivals;
};

export type ArrivedOptions = ArrivedFrom & {
  readonly table: RouteTable;
  readonly head: HttpRequestHead;
  readonly remoteAddress: string;
};

export class ArrivedPlan implements Plan {
  readonly table: RouteTable;
  readonly head: HttpRequestHead;
  readonly remoteAddress: string;
  readonly source: Source;
  readonly decision: Decision;
  readonly refusal: Reason | undefined;
  readonly isRepeatable: boolean;
  readonly sentRequestId: string | undefined;
  readonly sentTraceparent: string | undefined;
  readonly deadline: TunnelDeadline | undefined;
  /** As it came. */
  readonly #sent: HttpRequestHead;
  readonly #fields: TunnelFields | undefined;
  #hop: Hop | undefined;
  #parts: RequestHeadParts | undefined;
  /** They were asked for twice, and may be again. */
  #isFlat = false;

  constructor({ table, head, remoteAddress, source, arrivals }: ArrivedOptions) {
    const fields = readTunnelFields(head.fields);
    const end = fields && arrivals.find(table, fields.target);
    this.table = table;
    this.#sent = head;
    this.#fields = fields;
    this.head = fields === undefined ? head : asCalled(head, fields);
    this.remoteAddress = remoteAddress;
    this.source = fields?.isLowered === true ? unauthenticated : source;
    this.decision = decisionOf(end);
    this.refusal = refusalOf(head, fields, end);
    this.deadline = fields?.deadline;
    this.isRepeatable = isIdempotent(head.method, head.fields.has('idempotency-key'));
    const ids = readTunnelIds(head.fields);
    this.sentRequestId = ids?.requestId ?? sentRequestId(head);
    this.sentTraceparent = ids?.traceparent ?? sentTraceparent(head);
  }

  isOf(table: RouteTable, head: HttpRequestHead): boolean {
    return this.#sent === head && this.table === table;
  }

  hopTo(_: Backend, endpoint: Endpoint): Hop {
    this.#hop ??= {
      verdict: this.#judge(this.table, endpoint),
      isJudgedHere: true,
      way: 'here',
      plainReason: undefined,
      tunnel: undefined,
    };
    return this.#hop;
  }

  upstreamHead(ids: RequestIds): string {
    if (this.#parts === undefined) return withIds(this.podParts(), ids);
    if (!this.#isFlat) {
      this.#parts = { before: flatText(this.#parts.before), behind: this.#parts.behind };
      this.#isFlat = true;
    }
    return withIds(this.#parts, ids);
  }

  podParts(): RequestHeadParts {
    this.#parts ??= renderArrivedParts(this.head);
    return this.#parts;
  }

  /** The caller's proxy cuts: the word is about the service that was called (docs/design/0009). */
  isStoppedBy(): boolean {
    return false;
  }

  isAllowedBy(table: RouteTable, endpoint: Endpoint): boolean {
    if (this.#fields === undefined) return false;
    // Of a pod that leaves, requests are served to their end; an upgraded one may have none.
    const isHere = this.head.upgrade === undefined
      || endpointOfTunnel(table, this.#fields.target) !== undefined;
    return isHere && this.#judge(table, endpoint).kind !== 'deny';
  }

  /** The very function that one node alone uses. */
  #judge(table: RouteTable, endpoint: Endpoint): Verdict {
    return authorise(table, this.source, endpoint, this.head);
  }
}

/** The head as the caller's own proxy matched it. */
function asCalled(head: HttpRequestHead, { target, hostname }: TunnelFields): HttpRequestHead {
  // One by one: to spread a head with closures costs more than the rest of the plan.
  return {
    servicePort: target.port,
    hostname: hostname ?? head.hostname,
    method: head.method,
    path: head.path,
    // What the caller's proxy says to this one is no part of the call.
    fieldValues: (name) => (name.startsWith('weft-') ? noValues : head.fieldValues(name)),
    version: head.version,
    target: head.target,
    query: head.query,
    authority: head.authority,
    fields: head.fields,
    framing: head.framing,
    isKeepAlive: head.isKeepAlive,
    expectsContinue: head.expectsContinue,
    upgrade: head.upgrade,
    nominated: head.nominated,
    hasEncodedSlash: head.hasEncodedSlash,
    // Counted down already.
    maxForwards: undefined,
    bytes: head.bytes,
  };
}

function decisionOf(end: TunnelEnd | undefined): Decision {
  return end === undefined ? nowhere : { kind: 'split', host: end.host, split: end.split };
}

function refusalOf(
  { method }: HttpRequestHead,
  fields: TunnelFields | undefined,
  end: TunnelEnd | undefined,
): Reason | undefined {
  if (method === 'CONNECT' || method === 'TRACE') return 'BadRequestUnsupported';
  if (fields === undefined) return 'BadRequestSyntax';
  return end === undefined ? 'PodNotHere' : undefined;
}
