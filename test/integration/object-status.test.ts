// Conditions and Events on the embedded API server, over HTTP like any client's. The suite is
// test/support/status-suite.ts.
import { describe } from 'vitest';
import { realRuntime } from '../../src/main/runtime.ts';
import { embeddedCluster } from '../support/embedded-cluster.ts';
import { statusSuite } from '../support/status-suite.ts';

describe('conditions and Events on the embedded API server', () => {
  statusSuite(embeddedCluster, realRuntime);
});
