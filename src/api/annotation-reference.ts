// docs/reference/annotations.md, rendered from the table of settings. A test compares the file with
// this, so that the reference cannot say what the code does not.
import { settingTable, type Setting } from './defaults.ts';

const intro = `# Annotations

On a Service; the same annotation on its Namespace is the default for all its Services. A value that
cannot be read is a problem of the object (\`InvalidSetting\`) and counts as absent: then the next
spelling counts, then the Namespace, then the default. A \`policy\` or \`mtls\` that cannot be read
counts as \`enforce\` or \`strict\`. The label \`weft.dev/mesh\` (\`enabled\`, \`disabled\`)
on a Service or a Namespace opts in or out; the Service's beats its Namespace's.

Of several spellings on one object the first that can be read counts, in the order of the table.
Generated from \`src/api/defaults.ts\`; do not edit.
`;

/** The whole page. */
export function annotationReference(): string {
  const settings: readonly Setting<unknown>[] = Object.values(settingTable);
  return [
    intro,
    '## On a Service, or on its Namespace for all its Services\n',
    table(settings.filter((setting) => setting.on === 'both')),
    '## On a Namespace only\n',
    table(settings.filter((setting) => setting.on === 'namespace')),
  ].join('\n');
}

function table(settings: readonly Setting<unknown>[]): string {
  const rows = settings.map(row).join('\n');
  const head = '| key | values | meaning | other spellings |\n|---|---|---|---|';
  return `${head}\n${rows}\n`;
}

function row({ spellings, values, doc }: Setting<unknown>): string {
  const [canonical = '', ...others] = spellings.map((spelling) => `\`${spelling.key}\``);
  const cells = [
    canonical,
    escaped(values),
    escaped(doc),
    others.join(', '),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** A pipe would end the cell. */
function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}
