// The wiring of the cluster's DNS on the embedded API server, over HTTP and with a kubeconfig like
// any client's. The suite is test/support/dns-suite.ts.
import { describe } from 'vitest';
import { realRuntime } from '../../src/main/runtime.ts';
import { dnsSuite } from '../support/dns-suite.ts';
import { embeddedCluster } from '../support/embedded-cluster.ts';

describe('DNS wiring on the embedded API server', () => {
  dnsSuite(embeddedCluster, realRuntime);
});
