// The generated files of an installation are what the typed source says.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { manifestFiles } from './support/manifest-files.ts';

const files = manifestFiles();

describe('generated manifests', () => {
  test.each([...files.keys()])('%s is what its source says (npm run manifests)', (path) => {
    expect(readFileSync(path, 'utf8') === files.get(path)).toBe(true);
  });
});
