// The controller's promises about the mesh Services on the embedded API server. The suite is
// test/support/mesh-services-suite.ts.
import { describe } from 'vitest';
import { realRuntime } from '../../src/main/runtime.ts';
import { embeddedCluster } from '../support/embedded-cluster.ts';
import { meshServicesSuite } from '../support/mesh-services-suite.ts';

describe('mesh Services on the embedded API server', () => {
  meshServicesSuite(embeddedCluster, realRuntime);
});
