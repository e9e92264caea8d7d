// What happens next in a simulation, and its clock: a binary heap of callbacks by their time, those
// of one moment in the order in which they were asked for. No time passes but from one to the next.

type Happening = { readonly atMs: number; readonly order: number; readonly run: () => void };

export class Agenda {
  readonly #heap: Happening[] = [];
  #order = 0;
  #nowMs: number;

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): void {
    this.#order += 1;
    const heap = this.#heap;
    heap.push({ atMs: this.#nowMs + delayMs, order: this.#order, run });
    let at = heap.length - 1;
    for (let up = (at - 1) >> 1; at > 0 && this.#isBefore(at, up); up = (at - 1) >> 1) {
      this.#swap(at, up);
      at = up;
    }
  }

  /** Until nothing is left to happen. */
  run(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#nowMs = next.atMs;
      next.run();
    }
  }

  #next(): Happening | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let at = 0; ;) {
      let least = at;
      if (this.#isBefore(2 * at + 1, least)) least = 2 * at + 1;
      if (this.#isBefore(2 * at + 2, least)) least = 2 * at + 2;
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(left: number, right: number): boolean {
    const [a, b] = [this.#heap[left], this.#heap[right]];
    if (a === undefined || b === undefined) return false;
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #swap(left: number, right: number): void {
    const [a, b] = [this.#heap[left], this.#heap[right]];
    if (a === undefined || b === undefined) return;
    this.#heap[left] = b;
    this.#heap[right] = a;
  }
}
