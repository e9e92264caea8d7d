// docs/reference/settings.md, rendered from the table of flags. A test compares the file with this,
// so that the reference cannot say what the code does not.
import { flagTable, type FlagSpec } from './flag-table.ts';
import { describeFlag } from './flags.ts';

const head = `# Settings

Flags of \`weft proxy\` and \`weft controller\`. A flag beats its environment variable; a list
there is separated by commas. An unknown flag or a bad value ends the program with exit code 2 and
one line that says what to do. Generated from \`src/api/flag-table.ts\`; do not edit.

| flag | takes | default | processes | environment | meaning |
|---|---|---|---|---|---|
`;

/** The whole page. */
export function settingsReference(): string {
  return `${head}${flagTable.map(row).join('\n')}\n`;
}

function row(spec: FlagSpec): string {
  const { meaning, variables } = describeFlag(spec);
  const cells = [
    `\`--${spec.name}\``,
    takes(spec),
    spec.initial === undefined ? '–' : `\`${spec.initial}\``,
    spec.processes.join(', '),
    variables.map((name) => `\`${name}\``).join(', '),
    meaning.replaceAll('|', '\\|'),
  ];
  return `| ${cells.join(' | ')} |`;
}

function takes(spec: FlagSpec): string {
  switch (spec.kind) {
    case 'choice':
      return (spec.choices ?? []).map((choice) => `\`${choice}\``).join(', ');
    case 'switch':
      return 'nothing';
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
