// What the reflector's tests share: a control plane, a link to it that can be cut, a connection of
// the test that goes straight, and a cluster watch that goes over the link.
import { readFile, writeFile } from 'node:fs/promises';
import { openConnection, watchCluster } from '../../../src/kube/index.ts';
import type { ClusterWatch, Connection } from '../../../src/kube/index.ts';
import { silentLog } from '../../../src/telemetry/index.ts';
import { realRuntime } from '../../../src/main/runtime.ts';
import type { ControlPlane, ControlPlaneOptions } from './control-plane.ts';
import { startControlPlane } from './control-plane.ts';
import type { CuttableLink } from './cuttable-link.ts';
import { openLink } from './cuttable-link.ts';

export type WatchedPlane = {
  readonly plane: ControlPlane;
  readonly link: CuttableLink;
  /** The test's own way to the server. */
  readonly direct: Connection;
  readonly watch: ClusterWatch;
  readonly stop: () => Promise<void>;
};

export async function startWatchedPlane(options: ControlPlaneOptions = {}): Promise<WatchedPlane> {
  const plane = await startControlPlane(options);
  const link = await openLink(Number(new URL(plane.url).port));
  const file = `${plane.kubeconfigPath}-link`;
  const kubeconfig = await readFile(plane.kubeconfigPath, 'utf8');
  await writeFile(file, kubeconfig.replace(plane.url, `https://127.0.0.1:${link.port}`));
  const open = (path: string): Promise<Connection> =>
    openConnection({ kind: 'kubeconfig', file: path, context: undefined }, realRuntime);
  const [direct, linked] = [await open(plane.kubeconfigPath), await open(file)];
  const watch = watchCluster({
    connection: linked,
    runtime: realRuntime,
    log: silentLog,
    podScope: { kind: 'cluster' },
    onChange: () => undefined,
  });
  return {
    plane,
    link,
    direct,
    watch,
    stop: async () => {
      await watch.stop();
      await Promise.all([direct.close(), linked.close(), link.stop()]);
      await plane.stop();
    },
  };
}
