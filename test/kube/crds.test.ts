// smi/crds on a real kube-apiserver: accepted, every version served, round trips, refusals. The
// suite is test/support/crd-suite.ts; the embedded API server is held to it as well.
import { describe } from 'vitest';
import { crdSuite } from '../support/crd-suite.ts';
import { startControlPlane } from './support/control-plane.ts';

describe('the CRDs on a real API server', () => {
  crdSuite(async () => {
    const plane = await startControlPlane();
    return { url: plane.url, token: plane.token, stop: () => plane.stop() };
  });
});
