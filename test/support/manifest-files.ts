// The generated files of an installation: path → text. `npm run manifests` writes them, a test
// compares them with what stands in the tree.
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { buildVersion } from '../../src/main/version.ts';
import { installed } from '../../src/cli/install/install-command.ts';
import { initialValues } from '../../src/cli/install/read-values.ts';
import { renderYaml } from '../../src/cli/install/render-yaml.ts';

const header = `# weft, as \`weft install\` prints it with its defaults. Generated: npm run manifests.
`;

export function manifestFiles(): ReadonlyMap<string, string> {
  const plain = renderYaml(installed(initialValues(), 'weft-system', buildVersion));
  return new Map([
    ['smi/crds.json', definitions()],
    ['manifests/weft.yaml', header + plain],
  ]);
}

/** All CustomResourceDefinitions as one list, for the program. */
function definitions(): string {
  const names = readdirSync('smi/crds').filter((name) => name.endsWith('.yaml'));
  const all: unknown[] = names
    .sort()
    .map((name) => parse(readFileSync(`smi/crds/${name}`, 'utf8')) as unknown);
  return `${JSON.stringify(all)}\n`;
}
