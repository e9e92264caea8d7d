// What a module may say to the operator. The message is constant text, the facts are fields, so
// that lines can be counted and searched. An error is logged once, where it is handled; per
// exchange there is only the access log. Levels: error (someone must act), warn (degraded), info
// (life cycle), debug.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Facts of one line; no secret, no body, no user header value. */
export type LogFields = Readonly<Record<string, unknown>>;

export type Log = {
  readonly [Level in LogLevel]: (message: string, fields?: LogFields) => void;
} & {
  /** The same log with `fields` on every line. */
  readonly with: (fields: LogFields) => Log;
};

/** For tests and tools that want no log. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLog,
};
