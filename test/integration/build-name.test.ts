// Builds of one version are told apart by what runs: the name of a build ends with a digest of both
// bundles, whatever folder they lie in.
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-build-'));
  for (const name of ['weft.js', 'worker.js']) cpSync(`dist/${name}`, join(folder, name));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Said = { readonly version: string; readonly build: string };

function said(home: string): Said {
  const args = [join(home, 'weft.js'), 'version', '-o', 'json'];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
  // Our own program wrote it.
  return JSON.parse(stdout) as Said;
}

test('the same bundles are the same build in every folder; another worker is another build', () => {
  const here = said('dist');
  expect(here.build).toMatch(new RegExp(`^${here.version.replaceAll('.', '\\.')}\\+[0-9a-f]{12}$`));
  expect(said(folder)).toEqual(here);
  appendFileSync(join(folder, 'worker.js'), '\n// another worker\n');
  const there = said(folder);
  expect(there.version).toBe(here.version);
  expect(there.build).not.toBe(here.build);
});
