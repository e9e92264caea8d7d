// What a reflector feeds. Two kinds of news: one object as it is now, and a whole list that
// replaces everything at once, so that nobody ever sees half of it. Calls are synchronous and in
// order.
import type { Parsed } from '../api/index.ts';

export type Sink<T> = {
  /** The object as it is now, whether anything changed or not. */
  readonly put: (key: string, parsed: Parsed<T>) => void;
  /** The object with this uid is gone; a successor of the same name stays. */
  readonly remove: (key: string, uid: string) => void;
  /** Begins a list that takes force with `commit`, or never. */
  readonly replace: () => Replacement<T>;
};

export type Replacement<T> = {
  readonly put: (key: string, parsed: Parsed<T>) => void;
  readonly remove: (key: string) => void;
  /** What was not put is gone. */
  readonly commit: () => void;
};
