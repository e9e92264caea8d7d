// What the embedded API server claims, asked of a real kube-apiserver first and of the embedded one
// then, by the same cases (test/support/conformance). Deviations are a named list there.
import { allCases } from '../support/conformance/all-cases.ts';
import type { ApiTarget } from '../support/conformance/api-client.ts';
import { embeddedTarget } from '../support/conformance/embedded.ts';
import { conformance } from '../support/conformance/suite.ts';
import { startControlPlane } from './support/control-plane.ts';

async function realTarget(): Promise<ApiTarget> {
  const plane = await startControlPlane();
  // What was written so far is forgotten: a watch from its first revision is too old afterwards.
  await plane.compact();
  await plane.restart();
  return {
    url: plane.url,
    token: plane.token,
    isEmbedded: false,
    forgottenRevision: '1',
    stop: () => plane.stop(),
  };
}

conformance('a real kube-apiserver', allCases, realTarget);
conformance('the embedded API server', allCases, embeddedTarget);
