// What a check has found: one line per thing that was looked at, each with what to do when it is
// not well. Pure; how it was found is in the files beside this one.

/** `warning`: works, but not as somebody might think it does. */
export type FindingState = 'ok' | 'warning' | 'failed';

export type Finding = {
  /** Stable name, lower case with hyphens. */
  readonly check: string;
  readonly state: FindingState;
  /** One sentence. */
  readonly message: string;
  /** What to do; absent when all is well. */
  readonly fix?: string;
};

export function ok(check: string, message: string): Finding {
  return { check, state: 'ok', message };
}

export function warning(check: string, message: string, fix: string): Finding {
  return { check, state: 'warning', message, fix };
}

export function failed(check: string, message: string, fix: string): Finding {
  return { check, state: 'failed', message, fix };
}

/** 1 when something failed; warnings are for people. */
export function exitCodeOf(findings: readonly Finding[]): number {
  return findings.some(({ state }) => state === 'failed') ? 1 : 0;
}

/** The table that people read; the last line sums up. */
export function findingsTable(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, state, message, fix }) => {
    const line = `${state.padEnd(7)}  ${check.padEnd(width)}  ${message}`;
    return fix === undefined ? [line] : [line, `${' '.repeat(width + 11)}→ ${fix}`];
  });
  const count = (wanted: FindingState): number =>
    findings.filter(({ state }) => state === wanted).length;
  const sum = `${count('ok')} ok, ${count('warning')} warnings, ${count('failed')} failed`;
  return `${[...lines, sum].join('\n')}\n`;
}
