// The mesh Services on a real kube-apiserver, which checks addresses, ports and owners of fields as
// no copy of it does. The suite is test/support/mesh-services-suite.ts.
import { describe } from 'vitest';
import { openConnection } from '../../src/kube/index.ts';
import type { TestCluster } from '../support/controller-suite.ts';
import { meshServicesSuite } from '../support/mesh-services-suite.ts';
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

describe('mesh Services on a real API server', () => {
  meshServicesSuite(real, realRuntime);
});
