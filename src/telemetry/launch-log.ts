// The log of a long-running command, as its flags and its terminal want it: JSON for machines,
// lines for people on a terminal.
import type { LaunchPlatform } from '../lib/launch.ts';
import type { Log, LogLevel } from './log.ts';
import { createLog } from './pino-log.ts';

export type LaunchLogFlags = {
  /** `--log-level`; one of the levels of the log. */
  readonly level: string | undefined;
  /** `--log-format`; `undefined`: lines for people on a terminal, JSON elsewhere. */
  readonly format: string | undefined;
};

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export function launchLog(flags: LaunchLogFlags, platform: LaunchPlatform): Log {
  const format = flags.format ?? (platform.isErrorTerminal ? 'pretty' : 'json');
  return createLog({
    level: levels.find((level) => level === flags.level) ?? 'info',
    format: format === 'pretty' ? 'pretty' : 'json',
    destination: { write: platform.writeError },
  });
}
