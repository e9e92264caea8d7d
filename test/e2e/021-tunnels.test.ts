// As it is installed by default, calls between nodes travel in tunnels: counted by the proxies. How
// they travel is looked at packet by packet in 10-mutual-tls; this is for the short part, too.
import { expect, test } from 'vitest';
import { call, outcome } from './support/calls.ts';
import { metricSum } from './support/metrics.ts';
import { apiUrl, callers } from './support/shop.ts';

test('calls of every node are served, through tunnels, and none is plain', async () => {
  for (const from of await callers()) {
    const answers = await call(from, [{ url: apiUrl, times: 8 }]);
    expect(answers.map(outcome)).toEqual(Array.from({ length: 8 }, () => '200'));
  }
  const greeted = { side: 'client', result: 'ok' };
  expect(await metricSum('weft_tunnel_handshakes_total', greeted)).toBeGreaterThan(0);
  expect(await metricSum('weft_plain_requests_total', { reason: 'mtls_off' })).toBe(0);
});
