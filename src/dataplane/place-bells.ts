// How workers tell each other of places: each has a bell, a cell that others count up when they
// give back a place at an endpoint where somebody waits at that worker, and one cell for all is
// rung by who wishes that connections which nobody uses were closed. Cells are those of endpoint
// slot 0, which is nobody's. Nothing depends on a bell alone: who waits looks by itself as well.
import type { SlotView } from '../telemetry/index.ts';
import { endpointCells } from './endpoint-cells.ts';

/**
 * Who waits looks again so often: who has no limits gives places back and tells nobody, and a
 * connection may turn out to be in use for long.
 */
const lookMs = 100;
/** A wait for wishes begins anew after it; nothing depends on when. */
const wishWaitMs = 60_000;

type WaitAsync = (
  cells: Int32Array,
  index: number,
  value: number,
  timeoutMs: number,
) => { readonly async: boolean; readonly value: unknown };

/** Node ≥ 16 has it, the library of ES2023 does not tell. */
const { waitAsync } = Atomics as { readonly waitAsync?: WaitAsync };

export type BellListeners = {
  /** Somebody waits here, or did a moment ago. */
  readonly isAwaited: () => boolean;
  /** A place may be free at any endpoint. */
  readonly rung: () => void;
  /** Somebody elsewhere lacks a connection. */
  readonly wished: () => void;
};

export class PlaceBells {
  readonly #slots: SlotView;
  readonly #listeners: BellListeners;
  #isListening = false;
  #isClosed = false;

  constructor(slots: SlotView, listeners: BellListeners) {
    this.#slots = slots;
    this.#listeners = listeners;
    this.#listenForWishes();
  }

  get isShared(): boolean {
    return this.#slots.workers > 1 && waitAsync !== undefined;
  }

  /** Those who wait for a place at the endpoint with this first cell. False: nobody. */
  tellOthers(offset: number): boolean {
    if (!this.isShared) return false;
    const workers = this.#slots.waitingElsewhere(offset);
    for (let index = 0; workers >> index > 0; index += 1) {
      if (((workers >> index) & 1) === 1) this.#ring(endpointCells.bells + index);
    }
    return workers !== 0;
  }

  /** This worker hears of it as the others do. */
  tellHere(): void {
    this.#ring(endpointCells.bells + this.#slots.worker);
  }

  /** Whoever has connections that nobody uses where somebody lacks one is asked to close one. */
  wish(): void {
    if (this.isShared) this.#ring(endpointCells.wished);
  }

  /** From now on it is heard; call it before the others see that somebody waits. */
  listen(): void {
    if (this.#isListening || waitAsync === undefined || this.#isClosed) return;
    this.#isListening = true;
    const { endpoint } = this.#slots.cells;
    const bell = endpointCells.bells + this.#slots.worker;
    const told = waitAsync(endpoint, bell, Atomics.load(endpoint, bell), lookMs);
    void Promise.resolve(told.value).then(() => {
      this.#isListening = false;
      if (this.#isClosed || !this.#listeners.isAwaited()) return;
      // First: what is told while it is looked is heard next.
      this.listen();
      this.#listeners.rung();
    });
  }

  /** Nothing is listened for any more. */
  close(): void {
    this.#isClosed = true;
  }

  #listenForWishes(): void {
    if (!this.isShared || waitAsync === undefined || this.#isClosed) return;
    const { endpoint } = this.#slots.cells;
    const seen = Atomics.load(endpoint, endpointCells.wished);
    const told = waitAsync(endpoint, endpointCells.wished, seen, wishWaitMs);
    void Promise.resolve(told.value).then(() => {
      this.#listenForWishes();
      if (told.value !== 'timed-out' && !this.#isClosed) this.#listeners.wished();
    });
  }

  #ring(cell: number): void {
    const { endpoint } = this.#slots.cells;
    Atomics.add(endpoint, cell, 1);
    Atomics.notify(endpoint, cell);
  }
}
