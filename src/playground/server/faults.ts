// Injected faults, for tests of clients: a slow, refusing, resetting or lying API server. A fault
// is taken for the requests that its predicate matches, until its count is used up or it is
// removed.
export type FaultRequest = {
  readonly method: string;
  readonly path: string;
  readonly isWatch: boolean;
};

/** What a request meets instead of, or before, its answer. */
export type Fault =
  | { readonly kind: 'latency'; readonly ms: number }
  /** 429 or 5xx instead of an answer; `retryAfterSeconds` becomes the header. */
  | { readonly kind: 'status'; readonly code: number; readonly retryAfterSeconds?: number }
  /** The connection is cut before the answer. */
  | { readonly kind: 'reset' }
  /** A watch that is accepted and then silent: no events, no bookmarks, not closed. */
  | { readonly kind: 'stale-watch' }
  /** A watch that is accepted and ended at once, as overloaded servers and proxies do. */
  | { readonly kind: 'cut-watch' };

/** One armed fault: what, for which requests, how often. */
export type FaultRule = {
  readonly fault: Fault;
  /** Which requests; all when absent. */
  readonly matches?: (request: FaultRequest) => boolean;
  /** How many requests; without end when absent. */
  readonly count?: number;
};

type Armed = { readonly rule: FaultRule; left: number };

/** The armed faults of one server; a request takes them in the order in which they were armed. */
export class Faults {
  #armed: Armed[] = [];

  /** Arms a fault; the returned function takes it back. */
  inject(rule: FaultRule): () => void {
    const armed: Armed = { rule, left: rule.count ?? Number.POSITIVE_INFINITY };
    this.#armed.push(armed);
    return () => {
      this.#armed = this.#armed.filter((other) => other !== armed);
    };
  }

  clear(): void {
    this.#armed = [];
  }

  /** The faults that this request meets, in the order in which they were armed; uses them up. */
  take(request: FaultRequest): readonly Fault[] {
    const met: Fault[] = [];
    for (const armed of this.#armed) {
      if (armed.left <= 0 || !(armed.rule.matches?.(request) ?? true)) continue;
      const isOfWatch =
        armed.rule.fault.kind === 'stale-watch' || armed.rule.fault.kind === 'cut-watch';
      if (isOfWatch && !request.isWatch) continue;
      armed.left -= 1;
      met.push(armed.rule.fault);
    }
    this.#armed = this.#armed.filter((armed) => armed.left > 0);
    return met;
  }
}
