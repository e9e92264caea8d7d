// The values of flags: command line, else environment, else initial, checked against the table.
// Pure: texts in, checked texts or one line of complaint out.
import { parseDuration } from './duration.ts';
import { flagTable, type FlagProcess, type FlagSpec } from './flag-table.ts';
import { parseSize } from '../lib/quantity.ts';
import { complaintAboutText } from './text-forms.ts';

export type FlagValues = ReadonlyMap<string, readonly string[]>;

/** One line that says which flag is wrong and what it takes. */
export type FlagComplaint = { readonly complaint: string };

function environmentName(flag: string): string {
  return `WEFT_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * The values of all flags of one process: command line, else environment, else initial. Absent
 * flags are absent from the map; switches are `true` or `false`.
 */
export function resolveFlags(
  owner: FlagProcess,
  given: FlagValues,
  environment: Readonly<Record<string, string | undefined>>,
): FlagValues | FlagComplaint {
  const values = new Map<string, readonly string[]>();
  for (const spec of flagTable) {
    if (!spec.processes.includes(owner)) continue;
    const found = settingOf(spec, given, environment);
    if (found === undefined) continue;
    for (const value of found.values) {
      const expected = complaintAbout(spec, value);
      if (expected === undefined) continue;
      return { complaint: `${found.from} takes ${expected}, not ${quoted(value)}` };
    }
    values.set(spec.name, found.values);
  }
  return values;
}

/** A value from the outside, on one line of bearable length. */
function quoted(value: string): string {
  const charsMax = 80;
  return JSON.stringify(value.length <= charsMax ? value : `${value.slice(0, charsMax)}…`);
}

type Setting = {
  readonly values: readonly string[];
  /** The flag or variable that says so, as its user wrote it. */
  readonly from: string;
};

function settingOf(
  spec: FlagSpec,
  given: FlagValues,
  environment: Readonly<Record<string, string | undefined>>,
): Setting | undefined {
  const from = `--${spec.name}`;
  const flag = given.get(spec.name);
  if (flag !== undefined) return { values: spec.kind === 'texts' ? flag : flag.slice(-1), from };
  for (const name of describeFlag(spec).variables) {
    const text = environment[name];
    if (text === undefined || text === '') continue;
    const isList = spec.kind === 'texts';
    return { values: isList ? text.split(',').map((part) => part.trim()) : [text], from: name };
  }
  return spec.initial === undefined ? undefined : { values: [spec.initial], from };
}

export type FlagDescription = {
  /** What it means, and that it means nothing yet where that is so. */
  readonly meaning: string;
  /** Environment variables, in the order in which they are looked at. */
  readonly variables: readonly string[];
};

export function describeFlag({ name, doc, env, isBuilt }: FlagSpec): FlagDescription {
  const idle = ' (not built yet: taken, and without effect)';
  return {
    meaning: isBuilt === false ? doc + idle : doc,
    variables: [environmentName(name), ...(env === undefined ? [] : [env])],
  };
}

/** Flags that were set and do nothing yet, for a warning at the start. */
export function flagsNotBuilt(values: FlagValues): readonly string[] {
  return flagTable
    .filter(({ name, isBuilt, initial }) => {
      const value = values.get(name);
      return isBuilt === false && value !== undefined && value.join(',') !== (initial ?? '');
    })
    .map(({ name }) => `--${name}`);
}

/** What the flag takes, when `value` is not that. */
function complaintAbout(spec: FlagSpec, value: string): string | undefined {
  switch (spec.kind) {
    case 'text':
    case 'texts':
      if (spec.form !== undefined) return complaintAboutText(spec.form, value);
      return value === '' ? 'a value' : undefined;
    case 'switch':
      return ['true', 'false', '1', '0'].includes(value) ? undefined : 'true or false';
    case 'count':
      return isWhole(value, 1, 10_000_000) ? undefined : 'a whole number from 1';
    case 'port':
      return isWhole(value, 0, 65_535) ? undefined : 'a port number';
    case 'duration':
      return parseDuration(value) === undefined
        ? 'a duration such as 250ms, 5s or 1m30s'
        : undefined;
    case 'size':
      return parseSize(value) === undefined ? 'a size such as 32Ki or 512Mi' : undefined;
    case 'choice':
      return spec.choices?.includes(value) === true
        ? undefined
        : `one of ${spec.choices?.join(', ') ?? ''}`;
  }
}

function isWhole(value: string, min: number, max: number): boolean {
  // Number() would take 0x10, 1e3 and blanks too.
  if (!/^[0-9]{1,8}$/.test(value)) return false;
  const parsed = Number(value);
  return parsed >= min && parsed <= max;
}
