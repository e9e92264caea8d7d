// The generated files of an installation are what the typed source says, and the ways to install
// give the same objects. That Helm and kubectl agree is shown in test/kube/install.test.ts.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { manifestFiles } from './support/manifest-files.ts';

const files = manifestFiles();

describe('generated manifests', () => {
  test.each([...files.keys()])('%s is what its source says (npm run manifests)', (path) => {
    expect(readFileSync(path, 'utf8') === files.get(path)).toBe(true);
  });
});
