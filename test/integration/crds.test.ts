// smi/crds on the embedded API server, held to what a real one does (test/kube/crds.test.ts). The
// suite is test/support/crd-suite.ts.
import { describe } from 'vitest';
import { realRuntime } from '../../src/main/runtime.ts';
import { startApiServer } from '../../src/playground/index.ts';
import { crdSuite } from '../support/crd-suite.ts';

describe('the CRDs on the embedded API server', () => {
  crdSuite(async () => {
    const server = await startApiServer({ runtime: realRuntime });
    return { url: server.url, token: server.adminToken, stop: () => server.close() };
  });
});
