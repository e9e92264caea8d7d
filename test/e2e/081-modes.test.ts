// Mutual TLS is switched under load, from strict, as 08-upgrade leaves it, through every mode: each
// is a roll-out during which proxies of two modes call each other. No request fails. Ends as the
// suite has installed the mesh.
import { describe, test } from 'vitest';
import { meshNamespace, proxies, rolledOut } from './support/cluster.ts';
import { unfailingWhile } from './support/load-everywhere.ts';
import { switchMesh, type Mode } from './support/mtls.ts';
import { image } from './support/objects.ts';
import { installFlags, weft } from './support/weft.ts';

const steps: readonly (readonly [from: Mode, to: Mode])[] = [
  ['strict', 'permissive'],
  ['permissive', 'off'],
  ['off', 'permissive'],
];

describe('modes of mutual TLS', () => {
  test.each(steps)('%s → %s, under load: no request fails', async (from, to) => {
    await unfailingWhile(`${from} → ${to}`, () => switchMesh(to));
  });

  test('as the suite installs it, under load: no request fails', async () => {
    await unfailingWhile('as installed', async () => {
      const { status, stderr } = await weft(['upgrade', '--yes', ...installFlags(image())]);
      if (status !== 0) throw new Error(`weft upgrade ended with ${status}: ${stderr}`);
      await rolledOut(meshNamespace, 'daemonset/weft-proxy', 180_000);
      await rolledOut(meshNamespace, 'deployment/weft-controller');
      await proxies(120_000);
    });
  });
});
