// What follows from a request's head, from who sent it, and from one table – and from nothing else:
// where the request goes, what policy says of each pod, what the pod gets to read. It is worked out
// once; a client that sends the same head again while the same table is in force finds it done.
// Why that is safe: heads, sources and tables are immutable (A2), so the same objects give the same
// answers. Another head or another table is another plan (A5). What changes by itself – load,
// turns, budgets, the time, ids of our own – is never in here, nor is anything of a body or answer.
import type {
  Decision,
  Endpoint,
  RouteTable,
  Source,
  Verdict,
  VirtualHost,
} from '../route/index.ts';
import { authorise, decide, sourceOf } from '../route/index.ts';
import { refusalOf } from './admission.ts';
import type { Client } from './client.ts';
import type { Engine } from './engine.ts';
import { memoBytesMax } from './http1/head-memo.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RequestHeadParts, RequestIds } from './http1/serialise.ts';
import { withIds } from './http1/serialise.ts';
import type { Reason } from './refusals.ts';
import { renderUpstreamHead, sentRequestId, sentTraceparent } from './request-fields.ts';
import { isIdempotent } from './retry-policy.ts';

/** Verdicts that a plan remembers; few clients of one connection see more pods than that. */
const verdictsMax = 16;

export type PlanOptions = {
  readonly engine: Engine;
  readonly client: Client;
  readonly table: RouteTable;
  readonly head: HttpRequestHead;
  readonly remoteAddress: string;
};

export class RequestPlan {
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
  readonly #judged: Endpoint[] = [];
  readonly #verdicts: Verdict[] = [];
  #parts: RequestHeadParts | undefined;
  /** The whole head, where the client sent both ids. */
  #upstreamHead: string | undefined;

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

  /** A head that is too long to be compared will not be met again as the same object. */
  get isKept(): boolean {
    return this.head.bytes <= memoBytesMax;
  }

  get host(): VirtualHost | undefined {
    return this.decision.host;
  }

  /** Whether the pod may be asked: asked before each attempt, judged once per pod. */
  verdictOn(endpoint: Endpoint): Verdict {
    for (let index = 0; index < this.#judged.length; index += 1) {
      const known = this.#judged[index] === endpoint ? this.#verdicts[index] : undefined;
      if (known !== undefined) return known;
    }
    const verdict = authorise(this.table, this.source, endpoint, this.head);
    if (this.#judged.length < verdictsMax) {
      this.#judged.push(endpoint);
      this.#verdicts.push(verdict);
    }
    return verdict;
  }

  /** The head as a pod gets it. */
  upstreamHead(ids: RequestIds): string {
    if (this.#upstreamHead !== undefined) return this.#upstreamHead;
    this.#parts ??= renderUpstreamHead(this.#engine, this.head, this.#client, this);
    const text = withIds(this.#parts, ids);
    const hasOwnIds = this.sentRequestId === undefined || this.sentTraceparent === undefined;
    if (!hasOwnIds) this.#upstreamHead = text;
    return text;
  }
}
