// Who is trusted with `x-forwarded-*`: identities by name, addresses by range, nobody by
// default. The fields never feed a decision of ours.
import { expect, test } from 'vitest';
import type { Source } from '../route/index.ts';
import { TrustedSources } from './trusted-sources.ts';

const nobody: Source = { kind: 'unauthenticated' };
const edge: Source = {
  kind: 'workload',
  namespace: 'edge',
  serviceAccount: 'gateway',
  principal: 'edge/gateway',
  workload: 'Deployment/gateway',
  podName: 'gateway-1',
};

test.each<[readonly string[], Source, string, boolean]>([
  [[], edge, '10.0.0.1', false],
  [['edge/gateway'], edge, '10.0.0.1', true],
  [['edge/gateway'], nobody, '10.0.0.1', false],
  [['10.0.0.0/8'], nobody, '10.1.2.3', true],
  [['10.0.0.0/8'], nobody, '11.1.2.3', false],
  [['fd00::/8'], nobody, 'fd00::1', true],
  [['fd00::/8'], nobody, '10.0.0.1', false],
  [['ns.with.dots/sa', '192.168.0.0/16'], nobody, '192.168.4.4', true],
])('%j trusts %j at %s: %s', (trusted, source, address, expected) => {
  expect(new TrustedSources(trusted).has(source, address)).toBe(expected);
});
