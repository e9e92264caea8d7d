// The texts of refusals: one line, the command to run, nothing that a shell would take amiss.
// People paste that command.
import { expect, test } from 'vitest';
import { requestHead } from '../../test/support/request-head.ts';
import { reasonStatus, refusalText } from './refusals.ts';

const source = {
  kind: 'workload',
  namespace: 'shop',
  serviceAccount: 'front',
  principal: 'shop/front',
  workload: 'Deployment/front',
  podName: 'front-1',
} as const;
const place = { source, request: requestHead({ path: '/a' }) };

test('names cause, reason and the next command', () => {
  expect(refusalText('NoEndpoints', place)).toBe(
    'weft: the service has no ready endpoint (NoEndpoints); ' +
      'next: weft explain shop/front GET http://web.shop.mesh/a',
  );
  expect(reasonStatus('NoEndpoints')).toBe(503);
});

test('an unknown caller and another port are named as they are', () => {
  const text = refusalText('SourceUnknown', {
    source: { kind: 'unauthenticated' },
    request: requestHead({ servicePort: 8080, path: '/a' }),
  });
  expect(text).toContain('weft explain unknown GET http://web.shop.mesh:8080/a');
});

test.each([['/$(reboot)'], ['/a;b'], ["/'"], ['/`x`'], ['/a b'], [`/${'x'.repeat(300)}`]])(
  'the path %s is not printed into a command',
  (path) => {
    const text = refusalText('NoEndpoints', { source, request: requestHead({ path }) });
    expect(text).toMatch(/http:\/\/web\.shop\.mesh\/$/);
  },
);
