// Notices that somebody undoes our wiring of a place – it was as we wished, the wish is the same,
// and now it is not – and says how long to leave it alone before it is put right again: at once the
// first time, then ever more slowly, because an add-on manager and we could write for ever.
import { backoffMs } from '../../lib/backoff.ts';
import type { Runtime } from '../../lib/clock.ts';

const backoff = { baseMs: 5_000, maxMs: 5 * 60_000 };
/** Edits by hand are one or two; whoever comes a third time is a program. */
const revertsTold = 3;
/** A place that stayed so long is at peace. */
const calmMs = 15 * 60_000;

type Memory = {
  /** The wish that was seen fulfilled here. */
  fulfilled: string | undefined;
  reverts: number;
  lastRevertMs: number;
  /** Not to be written before. */
  heldUntilMs: number;
};

/** Lives as long as the keeper; places are a handful. */
export class PlaceMemories {
  readonly #runtime: Runtime;
  readonly #memories = new Map<string, Memory>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** The place is as wished. */
  noteFulfilled(place: string, wish: string): void {
    const memory = this.#of(place);
    memory.fulfilled = wish;
    const isCalm = this.#nowMs() - memory.lastRevertMs > calmMs;
    if (isCalm) memory.reverts = 0;
  }

  /** The place is not as wished. Milliseconds to leave it alone; 0: write now. */
  restMs(place: string, wish: string): number {
    const memory = this.#of(place);
    const nowMs = this.#nowMs();
    if (memory.fulfilled === wish) {
      memory.fulfilled = undefined;
      memory.reverts += 1;
      memory.lastRevertMs = nowMs;
      const isFirst = memory.reverts === 1;
      const attempt = memory.reverts - 2;
      memory.heldUntilMs = isFirst ? 0 : nowMs + backoffMs(attempt, backoff, this.#runtime.random);
    }
    return Math.max(0, memory.heldUntilMs - nowMs);
  }

  isFoughtOver(place: string): boolean {
    return (this.#memories.get(place)?.reverts ?? 0) >= revertsTold;
  }

  #nowMs(): number {
    return this.#runtime.clock.nowMs();
  }

  #of(place: string): Memory {
    const known = this.#memories.get(place);
    if (known !== undefined) return known;
    const memory = { fulfilled: undefined, reverts: 0, lastRevertMs: 0, heldUntilMs: 0 };
    this.#memories.set(place, memory);
    return memory;
  }
}
