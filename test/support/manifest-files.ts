// The generated files of an installation: path → text. `npm run manifests` writes them, a test
// compares them with what stands in the tree.
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { factsOf } from '../../src/cli/install/facts.ts';
import { allGroups, installed, isWanted } from '../../src/cli/install/install-objects.ts';
import { chartNotes } from '../../src/cli/install/notes.ts';
import { initialValues } from '../../src/cli/install/read-values.ts';
import { chartFiles } from '../../src/cli/install/render-chart.ts';
import { kustomizeFiles } from '../../src/cli/install/render-kustomize.ts';
import { renderYaml } from '../../src/cli/install/render-yaml.ts';
import { buildVersion } from '../../src/main/version.ts';

const header =
  '# weft, as `weft install` prints it with its defaults. Generated: npm run manifests.\n';

export function manifestFiles(): ReadonlyMap<string, string> {
  const values = initialValues();
  const texts = definitionTexts();
  const definitions = [...texts.values()].map((text) => parse(text) as unknown);
  const files = new Map([
    ['smi/crds.json', `${JSON.stringify(definitions)}\n`],
    ['manifests/weft.yaml', header + renderYaml(installed(values, 'weft-system', buildVersion))],
  ]);
  for (const [path, text] of chartFiles(buildVersion, texts, chartNotes())) {
    files.set(`manifests/chart/${path}`, text);
  }
  const origin = { namespace: 'weft-system', version: buildVersion, managedBy: 'kustomize' };
  const groups = allGroups(factsOf(values, origin)).filter(({ name }) => isWanted(name, values));
  for (const [path, text] of kustomizeFiles(groups, values.image.repository)) {
    files.set(`manifests/kustomize/${path}`, text);
  }
  return files;
}

/** The files of smi/crds by name, in order. */
function definitionTexts(): ReadonlyMap<string, string> {
  const names = readdirSync('smi/crds').filter((name) => name.endsWith('.yaml'));
  return new Map(names.sort().map((name) => [name, readFileSync(`smi/crds/${name}`, 'utf8')]));
}
