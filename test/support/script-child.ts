// Runs a TypeScript file as a Node process of its own, for tests that measure memory: bundled
// first, because the oldest Node that we run on does not read TypeScript. The bundle is made anew
// each time, so it is never stale.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { build } from 'rolldown';

const root = resolve(import.meta.dirname, '../..');
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

/** Arguments of `node` that run this file (path from the root) with `--expose-gc`. */
export async function bundleScript(file: string): Promise<readonly string[]> {
  const folder = resolve(root, 'build', 'test');
  mkdirSync(folder, { recursive: true });
  const bundle = resolve(folder, `${basename(file, '.ts')}-${process.pid}.js`);
  await build({
    input: resolve(root, file),
    platform: 'node',
    output: { file: bundle, format: 'esm', sourcemap: true, codeSplitting: false, banner },
    logLevel: 'warn',
  });
  return ['--expose-gc', '--enable-source-maps', bundle];
}

/** Runs it; resolves with what it printed. */
export async function runScript({ file, args, limitMs }: ScriptChild): Promise<ChildEnd> {
  const program = await bundleScript(file);
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
  return { code, output };
}
