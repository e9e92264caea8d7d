// `npm run check`: types, lint, then every quick test with a short fuzz – what a contributor runs
// before each commit; under a minute. Stops at the first step that fails.
import { spawnSync } from 'node:child_process';

const steps: readonly (readonly [string, readonly string[]])[] = [
  ['types', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json']],
  [
    'lint',
    [
      'node_modules/eslint/bin/eslint.js',
      '--cache',
      '--cache-location',
      'build/.eslintcache',
      'src',
      'test',
      'scripts',
    ],
  ],
  [
    'tests',
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--config',
      'test/vitest.config.ts',
      '--exclude',
      'test/integration/**',
      '--exclude',
      'test/sim/**',
    ],
  ],
];

for (const [name, args] of steps) {
  console.log(`\n== ${name}`);
  const ended = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (ended.status !== 0) {
    console.error(`check: ${name} failed`);
    process.exit(1);
  }
}
console.log('\ncheck: all well');
