// The controller's promises on the embedded API server, over HTTP and with a kubeconfig like any
// client's. The suite is test/support/controller-suite.ts.
import { describe } from 'vitest';
import { openConnection } from '../../src/kube/index.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { startApiServer } from '../../src/playground/index.ts';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controllerSuite } from '../support/controller-suite.ts';
import type { TestCluster } from '../support/controller-suite.ts';

async function embedded(): Promise<TestCluster> {
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

describe('the controller on the embedded API server', () => {
  controllerSuite(embedded, realRuntime, { withKill: false });
});
