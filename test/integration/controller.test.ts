// The controller's promises on the embedded API server, over HTTP and with a kubeconfig like any
// client's. The suite is test/support/controller-suite.ts.
import { describe } from 'vitest';
import { realRuntime } from '../../src/main/runtime.ts';
import { controllerSuite } from '../support/controller-suite.ts';
import { embeddedCluster } from '../support/embedded-cluster.ts';

describe('the controller on the embedded API server', () => {
  controllerSuite(embeddedCluster, realRuntime, { withKill: false });
});
