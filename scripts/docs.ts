// `npm run docs`: writes the generated pages of docs/reference and smi/conformance.md anew. Drift is
// a failing test (test/docs.test.ts), not something that this script decides.
import { writeFileSync } from 'node:fs';
import { renderReferences } from '../src/cli/index.ts';

for (const [path, text] of renderReferences()) {
  writeFileSync(path, text);
  console.log(`wrote ${path}`);
}
