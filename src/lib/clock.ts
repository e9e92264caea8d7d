// The seams to time and chance. Only `main` (and tests) make implementations; everything else is
// given one, so that a simulation can run a day in a millisecond and one seed repeats a failure.

export type Clock = {
  /** Monotonic milliseconds; the origin is arbitrary. */
  readonly nowMs: () => number;
  /** Milliseconds since the Unix epoch; may jump. */
  readonly wallMs: () => number;
};

export type Timer = {
  /** Idempotent; after it the callback never runs. */
  readonly cancel: () => void;
};

export type Timers = {
  /** Runs `callback` once, `delayMs` from now. The timer does not keep the process alive. */
  readonly after: (delayMs: number, callback: () => void) => Timer;
};

/** Uniform in [0, 1). */
export type Random = () => number;

/** What a shell module is given by `main`. */
export type Runtime = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
};
