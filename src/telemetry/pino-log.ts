// The log of a process, by pino: JSON lines, or lines for people. The destination is given; a
// line written to it is whole, on one line, and safe for terminals and log shippers. Long texts
// in fields are cut, so that a hostile name or error cannot flood the log.
import pino from 'pino';
import { escapeLine } from './access-log.ts';
import type { Log, LogFields, LogLevel } from './log.ts';

export type LogOptions = {
  readonly level: LogLevel;
  readonly format: 'json' | 'pretty';
  /** Takes one line with its line feed: `process.stderr`, a file, an array in tests. */
  readonly destination: { readonly write: (line: string) => unknown };
  /** Facts of every line: component, node name, pod name. */
  readonly fields?: LogFields;
};

/** Longest text of one field; the stack of a bug may be longer. */
const fieldCharsMax = 1_000;
const stackCharsMax = 4_000;
/** Keys of the line itself. JSON with one key twice parses, and one of the values is lost. */
const ownKeys: readonly string[] = ['level', 'time', 'message'];

export function createLog(options: LogOptions): Log {
  const render = options.format === 'json' ? escapeLine : prettyLine;
  const root = pino(
    {
      level: options.level,
      base: options.fields ?? {},
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void options.destination.write(render(line)) },
  );
  return wrap(root);
}

function wrap(logger: pino.Logger): Log {
  const line = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (!logger.isLevelEnabled(level)) return;
    logger[level](fields === undefined ? {} : boundedFields(fields), message);
  };
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    with: (fields) => wrap(logger.child(boundedFields(fields))),
  };
}

function boundedFields(fields: LogFields): Record<string, unknown> {
  const bounded: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    const name = ownKeys.includes(key) ? `${key}_` : key;
    if (typeof value === 'string') bounded[name] = cut(value, fieldCharsMax);
    else bounded[name] = value instanceof Error ? describeError(value) : value;
  }
  return bounded;
}

/** A failure is told by its message and reason; only a bug needs its stack. */
function describeError(error: Error): LogFields {
  const message = cut(error.message, fieldCharsMax);
  const reason: unknown = 'reason' in error ? error.reason : undefined;
  const cause = error.cause instanceof Error ? cut(error.cause.message, fieldCharsMax) : undefined;
  return typeof reason === 'string'
    ? { reason, message, cause }
    : { type: error.name, message, cause, stack: cut(error.stack ?? '', stackCharsMax) };
}

function cut(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)}…`;
}

/** `08:26:11.345 INFO  message  name=value`. */
function prettyLine(line: string): string {
  const { time, level, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const facts = Object.entries(fields).map(([name, value]) => `${name}=${prettyValue(value)}`);
  const clock = String(time).slice(11, 23);
  const head = `${clock} ${String(level).toUpperCase().padEnd(5)} ${String(message)}`;
  return `${escapeLine([head, ...facts].join('  ').replace(/[\r\n]+/g, ' '))}\n`;
}

function prettyValue(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
