// The controller's promises on a real kube-apiserver, the killed leader among
// them. The suite is test/support/controller-suite.ts.
import { describe } from 'vitest';
import { openConnection } from '../../src/kube/index.ts';
import { controllerSuite } from '../support/controller-suite.ts';
import type { TestCluster } from '../support/controller-suite.ts';
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

describe('the controller on a real API server', () => {
  controllerSuite(real, realRuntime, { withKill: true });
});
