// Conditions and Events on a real kube-apiserver: what the embedded one claims in
// test/integration. The suite is test/support/status-suite.ts.
import { describe } from 'vitest';
import { openConnection } from '../../src/kube/index.ts';
import type { TestCluster } from '../support/controller-suite.ts';
import { statusSuite } from '../support/status-suite.ts';
import { startControlPlane } from './support/control-plane.ts';
import { realRuntime } from './support/runtime.ts';

async function real(): Promise<TestCluster> {
  const plane = await startControlPlane();
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  return {
    connect: () => openConnection(source, realRuntime),
    stop: () => plane.stop(),
  };
}

describe('conditions and Events on a real API server', () => {
  statusSuite(real, realRuntime);
});
