// Runs a TypeScript file as a Node process of its own, for tests that measure memory: bundled
// first, because the oldest Node that we run on does not read TypeScript. The bundle is made anew
// each time, so it is never stale.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { build } from 'rolldown';

/** From this folder, or from that of a bundle. */
const root = ['..', '../..']
  .map((up) => resolve(import.meta.dirname, up))
  .find((folder) => existsSync(join(folder, 'package.json'))) ?? process.cwd();
const banner =
  "import { createRequire as __weftRequire } from 'node:module'; " +
  'const require = __weftRequire(import.meta.url);';

export type ChildEnd = { readonly code: number | null; readonly output: string };

export type ScriptChild = {
  /** Path from the root. */
  readonly file: string;
  readonly args: readonly string[];
  /** The child is killed after this. */
  readonly limitMs: number;
};

export type BundledScript = {
  /** Arguments of `node` that run it with `--expose-gc`. */
  readonly program: readonly string[];
  readonly remove: () => void;
};

/** Bundles this file (path from the root) into a folder of its own. */
export async function bundleScript(file: string): Promise<BundledScript> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-script-'));
  const bundle = join(folder, `${basename(file, '.ts')}.js`);
  await build({
    input: resolve(root, file),
    platform: 'node',
    output: { file: bundle, format: 'esm', sourcemap: true, codeSplitting: false, banner },
    logLevel: 'warn',
  });
  return {
    program: ['--expose-gc', '--enable-source-maps', bundle],
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Runs it; resolves with what it printed. */
export async function runScript({ file, args, limitMs }: ScriptChild): Promise<ChildEnd> {
  const { program, remove } = await bundleScript(file);
  const child = spawn(process.execPath, [...program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString('utf8');
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const code = await new Promise<number | null>((done, fail) => {
    child.on('error', fail);
    child.on('close', done);
  });
  clearTimeout(timer);
  remove();
  return { code, output };
}
