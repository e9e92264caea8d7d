// What is bundled: the product (dist/) and every script (build/), each into one file that needs no
// node_modules. The worker bundle is apart so that its import closure can be checked: it may hold
// no Kubernetes client, no SMI and no YAML (invariant A7).
import { readdirSync } from 'node:fs';
import { defineConfig } from 'rolldown';

const banner =
  "import { createRequire as __weftRequire } from 'node:module'; " +
  'const require = __weftRequire(import.meta.url);';

function bundle(input: string, file: string, executable: boolean) {
  return {
    input,
    platform: 'node' as const,
    treeshake: true,
    output: {
      file,
      format: 'esm' as const,
      sourcemap: true,
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
  ...scripts,
]);
