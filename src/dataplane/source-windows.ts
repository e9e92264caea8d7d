// For how long what comes from an address that nobody is known by may wait for word of its pod: a
// pod may call before its object is seen (architecture §4). Only where some namespace enforces,
// since nobody else would refuse it; which service is called is not looked at. An address in
// quarantine is not waited for: what comes may be its old pod's, and must not become the new one's
// by waiting.
import type { RouteTable } from '../route/index.ts';

/** For one address, from the first that came of it; then not again before the rest is over. */
const windowMs = 2_000;
const restMs = 60_000;
const windowsMax = 1_024;

export class SourceWindows {
  /** Address → when its window began, oldest first. */
  readonly #windows = new Map<string, number>();
  #judged: RouteTable | undefined;
  #hasEnforcing = false;

  /** It is no source now and may be one soon. */
  mayBecomeKnown(table: RouteTable, address: string): boolean {
    if (table.sources.has(address) || !this.#enforces(table)) return false;
    return !table.node.bindings.has(address);
  }

  /** What is left of the address's window; what comes first opens one. */
  leftMs(address: string, nowMs: number): number {
    const sinceMs = this.#windows.get(address);
    if (sinceMs !== undefined && nowMs < sinceMs + restMs) return sinceMs + windowMs - nowMs;
    this.#windows.delete(address);
    for (const [oldest, beganMs] of this.#windows) {
      if (this.#windows.size < windowsMax && nowMs < beganMs + restMs) break;
      this.#windows.delete(oldest);
    }
    this.#windows.set(address, nowMs);
    return windowMs;
  }

  #enforces(table: RouteTable): boolean {
    if (table === this.#judged) return this.#hasEnforcing;
    const { byDefault, byNamespace } = table.policies;
    this.#judged = table;
    this.#hasEnforcing = byDefault === 'enforce' || [...byNamespace.values()].includes('enforce');
    return this.#hasEnforcing;
  }
}
