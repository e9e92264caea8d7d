// What is bundled: the product (dist/) and every script (build/), each into one file that needs no
// node_modules. The worker bundle is apart so that its import closure can be checked: it may hold
// no Kubernetes client, no SMI and no YAML (invariant A7).
import { readdirSync } from 'node:fs';
import { defineConfig } from 'rolldown';

const banner =
  "import { createRequire as __weftRequire } from 'node:module'; " +
  'const require = __weftRequire(import.meta.url);';

/**
 * Comments and white space stay in the source maps: an image holds less than 3 MB of ours. Names
 * stay as they are, for stacks in logs.
 */
const withoutSpace = { mangle: false, compress: false, codegen: { removeWhitespace: true } };

function bundle(input: string, file: string, executable: boolean) {
  return {
    input,
    platform: 'node' as const,
    treeshake: true,
    output: {
      file,
      format: 'esm' as const,
      sourcemap: true,
      minify: file.startsWith('dist/') ? withoutSpace : false,
      codeSplitting: false,
      banner: executable ? `#!/usr/bin/env node\n${banner}` : banner,
    },
  };
}

const scripts = readdirSync('scripts')
  .filter((name) => name.endsWith('.ts') && !name.includes('.config.') && !name.includes('.test.'))
  .map((name) => bundle(`scripts/${name}`, `build/${name.replace(/\.ts$/, '.js')}`, false));

export default defineConfig([
  bundle('src/main/weft.ts', 'dist/weft.js', true),
  bundle('src/main/worker.ts', 'dist/worker.js', false),
  bundle('src/main/probe.ts', 'dist/probe.js', false),
  ...scripts,
]);
