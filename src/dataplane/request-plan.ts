// What follows from a request's head, from who sent it, and from one table – and from nothing else:
// where the request goes, what policy says of each pod, what the pod gets to read. It is worked out
// once; a client that sends the same head again while the same table is in force finds it done.
// Why that is safe: heads, sources and tables are immutable (A2), so the same objects give the same
// answers. Another head or another table is another plan (A5). What changes by itself – load,
// turns, budgets, the time, ids of our own – is never in here, nor is anything of a body or answer.
import type {
  Backend,
  Decision,
  Endpoint,
  RouteTable,
  Source,
  VirtualHost,
} from '../route/index.ts';
import { authorise, decide, sourceOf } from '../route/index.ts';
import { refusalOf } from './admission.ts';
import type { Client } from './client.ts';
import type { Engine } from './engine.ts';
import type { Hop, Plan, Sender, TunnelHop } from './hop.ts';
import { flatText } from './http1/bytes.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RequestHeadParts, RequestIds } from './http1/serialise.ts';
import { withIds } from './http1/serialise.ts';
import type { Reason } from './refusals.ts';
import { requestHop } from './request-hop.ts';
import { renderUpstreamHead, sentRequestId, sentTraceparent } from './request-fields.ts';
import { isIdempotent } from './retry-policy.ts';
import { renderIdsTail } from './tunnel-ids.ts';

/** Hops that a plan remembers; few clients of one connection see more pods than that. */
const hopsMax = 16;
/** Never added to. */
const noEndpoints: Endpoint[] = [];
const noHops: Hop[] = [];

export type PlanOptions = {
  readonly engine: Engine;
  readonly client: Client;
  readonly table: RouteTable;
  readonly head: HttpRequestHead;
  readonly remoteAddress: string;
};

export class RequestPlan implements Plan {
  readonly table: RouteTable;
  readonly head: HttpRequestHead;
  readonly remoteAddress: string;
  readonly source: Source;
  readonly decision: Decision;
  /** Why it is not even looked up, whatever the table says. */
  readonly refusal: Reason | undefined;
  /** Sending the request twice does no more than sending it once. */
  readonly isRepeatable: boolean;
  /** Ids that the client sent and that go on to the pod. */
  readonly sentRequestId: string | undefined;
  readonly sentTraceparent: string | undefined;
  readonly #engine: Engine;
  readonly #client: Client;
  /** Literals, because the first `push` to an empty array makes room for seventeen. */
  #judged: Endpoint[] = noEndpoints;
  #hops: Hop[] = noHops;
  #parts: RequestHeadParts | undefined;
  /** What is the same for each request, by tunnel; begun with the second request. */
  #starts: Map<TunnelHop, string> | undefined;
  /** The whole head, where the client sent both ids. */
  #upstreamHead: string | undefined;
  /** What is kept of the head is one piece: it was asked for twice, and may be again. */
  #isFlat = false;

  constructor({ engine, client, table, head, remoteAddress }: PlanOptions) {
    this.#engine = engine;
    this.#client = client;
    this.table = table;
    this.head = head;
    this.remoteAddress = remoteAddress;
    this.source = sourceOf(table, remoteAddress);
    this.decision = decide(table, head);
    this.refusal = refusalOf(head);
    this.isRepeatable = isIdempotent(head.method, head.fields.has('idempotency-key'));
    this.sentRequestId = sentRequestId(head);
    this.sentTraceparent = sentTraceparent(head);
  }

  /** It was made of the very same; everything else is another request's. */
  isOf(table: RouteTable, head: HttpRequestHead): boolean {
    return this.head === head && this.table === table;
  }

  get host(): VirtualHost | undefined {
    return this.decision.host;
  }

  /** Whether and how the pod may be asked: asked before each attempt, found once per pod. */
  hopTo(backend: Backend, endpoint: Endpoint): Hop {
    for (let index = 0; index < this.#judged.length; index += 1) {
      const known = this.#judged[index] === endpoint ? this.#hops[index] : undefined;
      if (known !== undefined) return known;
    }
    const hop = requestHop(this.#engine, this, backend, endpoint);
    if (this.#judged.length === 0) {
      this.#judged = [endpoint];
      this.#hops = [hop];
    } else if (this.#judged.length < hopsMax) {
      this.#judged.push(endpoint);
      this.#hops.push(hop);
    }
    return hop;
  }

  get isHostRewritten(): boolean {
    return this.host?.rules.upstreamHost !== undefined;
  }

  isStoppedBy(table: RouteTable): boolean {
    const decision = decide(table, this.head);
    return decision.kind === 'refuse' && decision.reason === 'Stopped';
  }

  /** What a tunnel carries is judged again where the pod is. */
  isAllowedBy(table: RouteTable, endpoint: Endpoint, { isJudgedHere }: Hop): boolean {
    if (!isJudgedHere) return true;
    const source = sourceOf(table, this.remoteAddress);
    return authorise(table, source, endpoint, this.head).kind !== 'deny';
  }

  /** The head as it is sent: a tunnel's fields come last, and of them ids of our own. */
  upstreamHead(sender: Sender, { tunnel }: Hop): string {
    if (tunnel === undefined) return this.#podHead(sender);
    const deadline = sender.deadlineLine ?? '';
    const text = this.#tunnelText(sender, tunnel, deadline);
    const isWritten = deadline === '' || this.#hasOwnIds;
    return isWritten ? text : `${text.slice(0, -2)}${deadline}\r\n`;
  }

  /** The client sent neither: ours are the end of the head. */
  get #hasOwnIds(): boolean {
    return this.sentRequestId === undefined && this.sentTraceparent === undefined;
  }

  #tunnelText(ids: RequestIds, tunnel: TunnelHop, deadline: string): string {
    const sendsId = this.sentRequestId !== undefined;
    const sendsTrace = this.sentTraceparent !== undefined;
    // One id of ours in the middle: hardly anybody sends just the other.
    if (sendsId !== sendsTrace) return this.#tunnelHead(ids, tunnel);
    const start = this.#starts?.get(tunnel) ?? this.#remember(tunnel, ids);
    return sendsId ? start : start + deadline + renderIdsTail(ids);
  }

  /** With the ids that the client sent; all but the ids where they are ours. */
  #tunnelStart(ids: RequestIds, tunnel: TunnelHop): string {
    if (this.sentRequestId !== undefined) return this.#tunnelHead(ids, tunnel);
    const { before, behind } = this.podParts();
    return `${before}${behind.slice(0, -2)}${tunnel.lines}`;
  }

  #tunnelHead(ids: RequestIds, tunnel: TunnelHop): string {
    return `${this.#podHead(ids).slice(0, -2)}${tunnel.lines}\r\n`;
  }

  #remember(tunnel: TunnelHop, ids: RequestIds): string {
    const text = this.#tunnelStart(ids, tunnel);
    if (this.#starts === undefined) this.#starts = new Map();
    else if (this.#starts.size < hopsMax) this.#starts.set(tunnel, flatText(text));
    return text;
  }

  podParts(): RequestHeadParts {
    this.#parts ??= renderUpstreamHead(this.#engine, this.head, this.#client, this);
    return this.#parts;
  }

  /** The head as a pod gets it. */
  #podHead(ids: RequestIds): string {
    if (this.#upstreamHead !== undefined) {
      if (!this.#isFlat) this.#upstreamHead = flatText(this.#upstreamHead);
      this.#isFlat = true;
      return this.#upstreamHead;
    }
    if (this.#parts === undefined) {
      this.#parts = renderUpstreamHead(this.#engine, this.head, this.#client, this);
    } else if (!this.#isFlat) {
      this.#parts = { ...this.#parts, before: flatText(this.#parts.before) };
      this.#isFlat = true;
    }
    const text = withIds(this.#parts, ids);
    const hasOwnIds = this.sentRequestId === undefined || this.sentTraceparent === undefined;
    if (!hasOwnIds) this.#upstreamHead = text;
    return text;
  }
}
