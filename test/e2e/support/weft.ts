// The program under test, as a user on his own machine runs it: dist/weft.js with the cluster's
// kubeconfig.
import { spawn } from 'node:child_process';
import { ended, kubectl, type Ended } from './kubectl.ts';
import { image } from './objects.ts';

export function weft(args: readonly string[], timeoutMs = 60_000): Promise<Ended> {
  const child = spawn(process.execPath, ['dist/weft.js', ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end();
  return ended(child, `weft ${args.join(' ')}`, { timeoutMs });
}

/** Splits `registry/name:tag` for the flags of `weft install`. */
export function imageFlags(): readonly string[] {
  const reference = image();
  const cut = reference.lastIndexOf(':');
  return ['--image', reference.slice(0, cut), '--tag', reference.slice(cut + 1)];
}

/** `weft install | kubectl apply -f -`. */
export async function install(flags: readonly string[] = []): Promise<string> {
  // Only the hook by which a case kills a worker is not as users have it.
  const hooks = ['--set', 'proxy.flags={test-hooks: true}'];
  const args = ['install', ...imageFlags(), ...hooks, ...flags];
  const { status, stdout, stderr } = await weft(args);
  if (status !== 0) throw new Error(`weft install ended with ${status}: ${stderr}`);
  return kubectl(['apply', '-f', '-'], { input: stdout });
}
