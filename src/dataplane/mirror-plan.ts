// The plan of a copy: routed and judged as a call of the original's source to the mirror's service,
// written as the original was, with its Host and a field that says whose copy it is. Only what is
// about one exchange, or about this one's connection, is left out: `Expect`, an offer to upgrade.
// Invariant: who calls is who called, by the very same source.
import { authorise, decide } from '../route/index.ts';
import type { Backend, Decision, Endpoint, RouteTable, Source } from '../route/index.ts';
import type { VirtualHost } from '../route/index.ts';
import type { MirrorRule } from '../snapshot/index.ts';
import type { Engine } from './engine.ts';
import type { Hop, Plan } from './hop.ts';
import { mirrorField } from './http1/forwarding.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { withIds } from './http1/serialise.ts';
import type { RequestHeadParts, RequestIds } from './http1/serialise.ts';
import { renderUpstreamHead } from './request-fields.ts';
import { requestHop } from './request-hop.ts';

/** Plans of copies by those of their originals, which are made anew with each table. */
export class MirrorPlans {
  readonly #engine: Engine;
  readonly #plans = new WeakMap<Plan, { readonly plan: MirrorPlan | undefined }>();
  readonly #hosts = new WeakMap<VirtualHost, VirtualHost>();

  /** `engine`: that of copies. */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Undefined: the table knows no such service, or no such port of it. */
  of(original: Plan, rule: MirrorRule): MirrorPlan | undefined {
    const known = this.#plans.get(original);
    if (known !== undefined) return known.plan;
    const plan = this.#make(original, rule);
    this.#plans.set(original, { plan });
    return plan;
  }

  #make(original: Plan, { service, port }: MirrorRule): MirrorPlan | undefined {
    const { table, decision: called } = original;
    const domain = table.mesh?.meshDomains[0];
    if (domain === undefined || called.host === undefined) return undefined;
    const hostname = `${service}.${called.host.namespace}.${domain}`;
    const written = withoutExpect(original.head);
    const servicePort = port ?? written.servicePort;
    const head = { ...written, hostname, authority: hostname, servicePort };
    return this.#plan({ engine: this.#engine, original, written, head, table });
  }

  /** The same by another table; undefined: it does not know the service any more. */
  renewed(plan: MirrorPlan, table: RouteTable): MirrorPlan | undefined {
    return plan.table === table ? plan : this.#plan({ ...plan.facts, table });
  }

  #plan(facts: MirrorPlanFacts): MirrorPlan | undefined {
    const found = decide(facts.table, facts.head);
    if (found.host === undefined) return undefined;
    const host = this.#withoutRetries(found.host);
    return new MirrorPlan(facts, { ...found, host }, host);
  }

  /** One try is all that a copy gets; what limits the service, and its time-outs, hold for it. */
  #withoutRetries(host: VirtualHost): VirtualHost {
    const known = this.#hosts.get(host);
    if (known !== undefined) return known;
    const { namespace, service, rules } = host;
    const shaping = rules.shaping && { ...rules.shaping, hedgeAfterMs: undefined };
    const once = { ...rules, retryAttempts: 0, retryOn: [], shaping };
    const made = { namespace, service, rules: once };
    this.#hosts.set(host, made);
    return made;
  }
}

/** A body that is complete waits for nobody's 100. */
function withoutExpect(head: HttpRequestHead): HttpRequestHead {
  if (!head.fields.has('expect')) return head;
  const nominated = new Set([...head.nominated, 'expect']);
  return { ...head, nominated, expectsContinue: false };
}

export type MirrorPlanFacts = {
  readonly engine: Engine;
  readonly original: Plan;
  readonly table: RouteTable;
  /** What is sent. */
  readonly written: HttpRequestHead;
  /** As the routes and permissions of the mirror's service see it. */
  readonly head: HttpRequestHead;
};

export class MirrorPlan implements Plan {
  readonly table: RouteTable;
  readonly head: HttpRequestHead;
  readonly remoteAddress: string;
  readonly source: Source;
  readonly decision: Decision;
  readonly host: VirtualHost;
  readonly refusal = undefined;
  readonly isRepeatable = false;
  readonly sentRequestId: string | undefined;
  readonly sentTraceparent: string | undefined;
  readonly facts: MirrorPlanFacts;
  #parts: RequestHeadParts | undefined;

  /** `host`: that of the decision. */
  constructor(facts: MirrorPlanFacts, decision: Decision, host: VirtualHost) {
    const { original, table, head } = facts;
    this.facts = facts;
    this.table = table;
    this.head = head;
    this.remoteAddress = original.remoteAddress;
    this.source = original.source;
    this.decision = decision;
    this.host = host;
    this.sentRequestId = original.sentRequestId;
    this.sentTraceparent = original.sentTraceparent;
  }

  isOf(): boolean {
    return false;
  }

  hopTo(backend: Backend, endpoint: Endpoint): Hop {
    const { table, source, head } = this;
    // The pod's node judges by the mirror's name as well, which is not the Host that is sent.
    const asking = { table, source, head, isHostRewritten: true };
    return requestHop(this.facts.engine, asking, backend, endpoint);
  }

  upstreamHead(ids: RequestIds, { tunnel }: Hop): string {
    const text = withIds(this.podParts(), ids);
    return tunnel === undefined ? text : `${text.slice(0, -2)}${tunnel.lines}\r\n`;
  }

  podParts(): RequestHeadParts {
    this.#parts ??= this.#render();
    return this.#parts;
  }

  isStoppedBy(table: RouteTable): boolean {
    const decision = decide(table, this.head);
    return decision.kind === 'refuse' && decision.reason === 'Stopped';
  }

  /** What a tunnel carries is judged again where the pod is. */
  isAllowedBy(table: RouteTable, endpoint: Endpoint, { isJudgedHere }: Hop): boolean {
    if (!isJudgedHere) return true;
    return authorise(table, this.source, endpoint, this.head).kind !== 'deny';
  }

  #render(): RequestHeadParts {
    const forwarding = { forwarded: undefined };
    const { engine, written, original } = this.facts;
    const parts = renderUpstreamHead(engine, written, forwarding, this);
    const { namespace, service } = original.decision.host ?? this.host;
    const before = `${parts.before}${mirrorField}: ${namespace}/${service}\r\n`;
    return { ...parts, before };
  }
}
