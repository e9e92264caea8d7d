// Whether all Services of a cluster will get ports: found out by the allocation itself.
// Objects are made by hand, as the API server writes them.
import { expect, test } from 'vitest';
import { meshSettingsOf, parsers } from '../../api/index.ts';
import { portFindings } from './read-ports.ts';

const settings = meshSettingsOf(new Map());

function ground(ports: readonly { readonly name: string; readonly port: number }[]) {
  const services = ports.map(({ name, port }) => {
    const metadata = { namespace: 'shop', name: `s${port}`, uid: `u${port}` };
    const spec = { clusterIP: '10.96.0.9', ports: [{ name, port, protocol: 'TCP' }] };
    return parsers.Service({ apiVersion: 'v1', kind: 'Service', metadata, spec }).value;
  });
  const metadata = { name: 'shop' };
  const namespace = parsers.Namespace({ apiVersion: 'v1', kind: 'Namespace', metadata }).value;
  return { services, namespaces: [namespace] };
}

test('what fits is well, and counted', () => {
  const found = portFindings(
    ground([
      { name: 'http', port: 80 },
      { name: 'tcp-db', port: 5432 },
    ]),
    settings,
  );
  expect(found).toMatchObject([{ check: 'ports', state: 'ok' }]);
  expect(found[0]?.message).toContain('1 port numbers of HTTP services, 1 addresses for TCP');
});

test('more HTTP port numbers than proxies have ports fail, with those that get none', () => {
  const many = Array.from({ length: 902 }, (_, at) => ({ name: 'http', port: 10_000 + at }));
  const [found] = portFindings(ground(many), settings);
  expect(found).toMatchObject({ check: 'ports', state: 'failed' });
  expect(found?.message).toMatch(/no port is left for Service shop\/s1\d{4}/);
});
