// `npm run docs`: writes the generated pages of docs/reference anew. Drift is a failing test
// (test/docs.test.ts), not something that this script decides.
import { writeFileSync } from 'node:fs';
import { referencePages } from '../test/support/reference-pages.ts';

for (const [path, text] of referencePages()) {
  writeFileSync(path, text);
  console.log(`wrote ${path}`);
}
