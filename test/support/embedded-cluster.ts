// The embedded API server as the cluster of a controller's test: over HTTP and with a kubeconfig
// like any client's.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConnection } from '../../src/kube/index.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { startApiServer } from '../../src/playground/index.ts';
import type { TestCluster } from './controller-suite.ts';

export async function embeddedCluster(): Promise<TestCluster> {
  const server = await startApiServer({ runtime: realRuntime });
  const directory = await mkdtemp(join(tmpdir(), 'weft-controller-'));
  const file = join(directory, 'kubeconfig');
  await writeFile(file, server.kubeconfig());
  return {
    connect: () => openConnection({ kind: 'kubeconfig', file, context: undefined }, realRuntime),
    stop: async () => {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}
