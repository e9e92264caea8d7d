// The end of a turn of the event loop: what many streams have to say to one peer leaves in one
// write, when everything that has come in this turn has been looked at. One for all sessions of a
// worker. `setImmediate` runs behind all reads of a turn, and before the loop waits for more.
// Invariant: a step that throws is told as a bug and takes no other step with it.

export class TurnEnd {
  readonly #bugFound: (error: unknown) => void;
  #waiting: (() => void)[] = [];

  constructor(bugFound: (error: unknown) => void) {
    this.#bugFound = bugFound;
  }

  /** Runs `step` at the end of this turn; who asks twice runs twice. */
  add(step: () => void): void {
    this.#waiting.push(step);
    if (this.#waiting.length === 1) setImmediate(() => this.#run());
  }

  /** Runs `step` as soon as whoever is telling something now has told it all. */
  soon(step: () => void): void {
    queueMicrotask(step);
  }

  #run(): void {
    const steps = this.#waiting;
    this.#waiting = [];
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        this.#bugFound(error);
      }
    }
  }
}
