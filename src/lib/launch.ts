// What a long-running command is given by `main`: the machine's facts and the seams to the outside.
// Types only; the one implementation is in `main` (A12).
import type { Runtime } from './clock.ts';
import type { KeyMaker } from './keys.ts';

/** Asked to end: by a signal, or from within. */
export type EndSignal = {
  readonly raised: Promise<void>;
  /** Idempotent. */
  readonly raise: () => void;
};

export type LaunchPlatform = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly runtime: Runtime;
  readonly keys: KeyMaker;
  /** Of the release that this build is of. */
  readonly version: string;
  /** Name of this build: the version and a digest of what runs. */
  readonly build: string;
  readonly nodeVersion: string;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly isErrorTerminal: boolean;
  /** SIGTERM or SIGINT; a second one ends the program at once. */
  readonly untilSignal: () => EndSignal;
};
