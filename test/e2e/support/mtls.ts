// Mutual TLS as users switch it: for the whole mesh by `weft upgrade`, for one namespace by an
// annotation. And what the proxies count of it.
import { meshNamespace, proxies, rolledOut } from './cluster.ts';
import { kubectl } from './kubectl.ts';
import { image } from './objects.ts';
import { weft, type Build } from './weft.ts';

export type Mode = 'off' | 'permissive' | 'strict';

/** The flags of an installation in this mode, test hooks included. */
export function flagsFor(mode: Mode, reference = image()): readonly string[] {
  const cut = reference.lastIndexOf(':');
  const named = ['--image', reference.slice(0, cut), '--tag', reference.slice(cut + 1)];
  return [...named, '--mtls', mode, '--set', 'proxy.flags={test-hooks: true}'];
}

/** Returns when every node has a proxy of that mode and no other. */
export async function switchMesh(mode: Mode, build?: Build): Promise<void> {
  const options = build === undefined ? {} : { build };
  const { status, stdout, stderr } = await weft(
    ['upgrade', '--yes', ...flagsFor(mode, build?.image)],
    { timeoutMs: 120_000, ...options },
  );
  if (status !== 0) throw new Error(`weft upgrade ended with ${status}: ${stderr}${stdout}`);
  await rolledOut(meshNamespace, 'daemonset/weft-proxy', 180_000);
  await rolledOut(meshNamespace, 'deployment/weft-controller');
  await proxies(120_000);
}

export async function annotateMtls(namespace: string, mode: Mode | undefined): Promise<void> {
  const key = 'weft.dev/mtls';
  const text = mode === undefined ? `${key}-` : `${key}=${mode}`;
  await kubectl(['annotate', '--overwrite', 'namespace', namespace, text]);
}
