// What active checks say of an endpoint (`weft.dev/health-check`), in cells of its slot: written by
// the control thread alone, read by all workers whenever they pick. A passing check also takes back
// an ejection that workers have found by themselves: whoever answers is asked again.

/** Offsets from the first cell of an endpoint; the first two are the workers' as well. */
export const endpointHealthCells = {
  /** 0 in · 1 ejected · 2 probed by one request. */
  ejection: 12,
  /** When it may be asked again; of who is in: when it last was out. */
  ejectedUntil: 13,
  /** 1: checks of it fail. */
  checkedOut: 19,
} as const;

export class HealthCells {
  readonly #cells: Int32Array;
  readonly #offset: number;

  constructor(cells: Int32Array, offset: number) {
    this.#cells = cells;
    this.#offset = offset;
  }

  /** Two of the same place in memory are the same endpoint's. */
  get offset(): number {
    return this.#offset;
  }

  get isOut(): boolean {
    return Atomics.load(this.#cells, this.#offset + endpointHealthCells.checkedOut) !== 0;
  }

  putOut(): void {
    Atomics.store(this.#cells, this.#offset + endpointHealthCells.checkedOut, 1);
  }

  /** No check says anything of it any more. */
  forget(): void {
    Atomics.store(this.#cells, this.#offset + endpointHealthCells.checkedOut, 0);
  }

  /** A check has passed. */
  takeIn(wallMs: number): void {
    this.forget();
    const ejectionAt = this.#offset + endpointHealthCells.ejection;
    if (Atomics.load(this.#cells, ejectionAt) === 0) return;
    const untilAt = this.#offset + endpointHealthCells.ejectedUntil;
    Atomics.store(this.#cells, untilAt, Math.floor(wallMs) | 0);
    Atomics.store(this.#cells, ejectionAt, 0);
  }
}
