// docs/reference/settings.md and annotations.md, rendered from the tables that the product itself
// reads; a test compares them with the files. Nothing here knows a default of its own.
import {
  environmentName,
  flagTable,
  namespaceTable,
  settingTable,
  type FlagSpec,
} from '../api/index.ts';
import { renderMetricsReference } from '../telemetry/control.ts';

const generated = 'Generated from the tables in `src`; do not edit (`npm run docs` writes it anew).';

/** Path → text of every generated page. */
export function renderReferences(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/reference/settings.md', renderSettings()],
    ['docs/reference/annotations.md', renderAnnotations()],
    ['docs/reference/metrics.md', renderMetricsReference()],
  ]);
}

function renderSettings(): string {
  const rows = flagTable.map((spec) =>
    row([
      `\`--${spec.name}\``,
      valuesOf(spec),
      spec.initial === undefined ? '–' : `\`${spec.initial}\``,
      spec.processes.join(', '),
      `\`${environmentName(spec.name)}\``,
      spec.doc,
    ]),
  );
  return [
    '# Settings',
    '',
    generated,
    '',
    'Flags of `weft proxy` and `weft controller`. A flag beats its environment variable, which takes a',
    'list with commas. An unknown flag or a bad value ends the program with exit code 2.',
    '',
    row(['flag', 'takes', 'default', 'processes', 'environment', 'meaning']),
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function valuesOf(spec: FlagSpec): string {
  switch (spec.kind) {
    case 'choice':
      return (spec.choices ?? []).map((choice) => `\`${choice}\``).join(', ');
    case 'switch':
      return '(no value)';
    case 'texts':
      return 'text, repeatable';
    case 'text':
    case 'count':
    case 'port':
    case 'duration':
    case 'size':
      return spec.kind;
  }
}

function renderAnnotations(): string {
  const settings = [...Object.values(settingTable), ...Object.values(namespaceTable)];
  const rows = settings.map((setting) => {
    const [canonical, ...others] = setting.spellings.map(({ key }) => `\`${key}\``);
    const where = setting.on === 'namespace' ? 'Namespace' : 'Service, Namespace';
    const inForce = setting.isInForce ? 'yes' : 'not yet';
    return row([canonical ?? '', where, setting.values, setting.doc, inForce, others.join(' ')]);
  });
  return [
    '# Annotations and labels',
    '',
    generated,
    '',
    'An annotation of a Service holds for its calls; the same annotation of its Namespace is the',
    'default for all its Services. A bad value is a problem on the object and counts as absent, but',
    'a bad `policy` counts as `enforce` and a bad `mtls` as `strict`. What is marked "not yet" is',
    'parsed and checked, and changes no traffic in this version: using it is a problem',
    '(`UnsupportedField`) that says so.',
    '',
    row(['annotation', 'on', 'values', 'meaning', 'in force', 'other spellings']),
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    'Label `weft.dev/mesh` on a Namespace or Service: `disabled` opts out; `enabled` opts in where the',
    'mesh runs with `--adopt labelled`.',
    '',
  ].join('\n');
}

/** A row of a table; what would end a cell is escaped. */
function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
