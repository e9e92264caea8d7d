// The program under test, as a user on his own machine runs it: dist/weft.js with the cluster's
// kubeconfig. Beside it the build of another commit, for upgrades.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ended, kubectl, type Ended } from './kubectl.ts';
import { image } from './objects.ts';

/** A program and the image that was made of it. */
export type Build = { readonly program: string; readonly image: string };

export type WeftOptions = { readonly timeoutMs?: number; readonly build?: Build };

export function weft(args: readonly string[], options: WeftOptions = {}): Promise<Ended> {
  const { timeoutMs = 60_000, build } = options;
  const child = spawn(process.execPath, [build?.program ?? 'dist/weft.js', ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end();
  return ended(child, `weft ${args.join(' ')}`, { timeoutMs });
}

/** Made by scripts/test-e2e.ts, from the last commit whose programs differ. */
export function otherBuild(): Build {
  const folder = process.env['WEFT_E2E_OTHER'] ?? '';
  if (folder === '') throw new Error('no other build: run this by npm run test:e2e');
  return { program: join(folder, 'dist/weft.js'), image: 'weft:e2e-other' };
}

/** Of `install` and `upgrade` alike. */
export function installFlags(reference: string): readonly string[] {
  const cut = reference.lastIndexOf(':');
  const named = ['--image', reference.slice(0, cut), '--tag', reference.slice(cut + 1)];
  // Only the hook by which a case kills a worker is not as users have it.
  return [...named, '--set', 'proxy.flags={test-hooks: true}'];
}

/** `weft install | kubectl apply -f -`. */
export async function install(): Promise<string> {
  const { status, stdout, stderr } = await weft(['install', ...installFlags(image())]);
  if (status !== 0) throw new Error(`weft install ended with ${status}: ${stderr}`);
  return kubectl(['apply', '-f', '-'], { input: stdout });
}
