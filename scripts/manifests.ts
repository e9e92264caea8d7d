// `npm run manifests`: writes everything that is generated from the typed source of an installation
// anew: smi/crds.json and the folders below manifests/. Drift is a failing test
// (test/manifests.test.ts), not something that this script decides.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { manifestFiles } from '../test/support/manifest-files.ts';

for (const [path, text] of manifestFiles()) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  console.log(`wrote ${path}`);
}
