// What a tunnel reaches: a pod of this node, of the Service's namespace, at an address and port of
// that Service; and who calls. Forged slices and forged names gain nothing.
import { describe, expect, test } from 'vitest';
import {
  endpointsSection,
  meshSection,
  namespacesSection,
  permissionsSection,
  permissionSpec,
  recordsOf,
  serviceSection,
  workload,
} from '../../test/support/sections.ts';
import { formatSpiffeId } from '../identity/index.ts';
import type { SpiffeId } from '../identity/index.ts';
import type { AddressBinding } from '../snapshot/index.ts';
import { authorise } from './authorise.ts';
import { compileTable } from './compile-table.ts';
import { sourceOfPeer } from './source.ts';
import { endpointOfTunnel } from './tunnel.ts';
import type { TunnelTarget } from './types.ts';

function pod(account: string, nodeName = 'node-a', isLocal = true): AddressBinding {
  return { kind: 'workload', isLocal, nodeName, workload: workload(account) };
}

const table = compileTable(
  recordsOf(
    meshSection(),
    namespacesSection('enforce'),
    serviceSection('shop/web'),
    endpointsSection('shop/web', [
      '10.1.0.1:8080',
      '10.1.0.5:8080',
      '10.1.0.6:8080',
      '[fd00::1]:80',
      // In the node's network; the second one's pod is not, or has gone.
      { address: '10.0.0.1', port: 9100, nodeName: 'node-a', podName: 'node-agent' },
      { address: '10.0.0.1', port: 9101, nodeName: 'node-a', podName: 'gone' },
      { address: '10.0.0.1', port: 9102, nodeName: 'node-b', podName: 'node-agent' },
    ]),
    // A slice that its owner has filled with the addresses of others.
    serviceSection('evil/web'),
    endpointsSection('evil/web', ['10.1.0.1:8080', '10.1.0.2:22', '10.0.0.1:10250', '1.2.3.4:80']),
    permissionsSection('shop/web', [
      permissionSpec({
        sources: ['shop/front', 'weft-system/weft-proxy'],
        http: { ports: undefined, matches: undefined },
      }),
    ]),
  ),
  {
    nodeName: 'node-a',
    bindings: new Map<string, AddressBinding>([
      ['10.1.0.1', pod('shop/web')],
      ['10.1.0.2', pod('other/db')],
      ['10.1.0.5', pod('shop/web', 'node-b', false)],
      ['10.1.0.6', pod('shop/web', 'node-a', false)],
      ['10.1.0.7', { kind: 'disputed' }],
      ['10.0.0.1', { kind: 'infrastructure', hostPods: ['shop/node-agent', 'shop/web-1'] }],
      ['fd00::1', pod('shop/web')],
    ]),
  },
);

const web: TunnelTarget = {
  namespace: 'shop',
  service: 'web',
  port: 80,
  address: '10.1.0.1',
  podPort: 8080,
};

describe('a tunnel reaches', () => {
  test.each<[string, Partial<TunnelTarget>]>([
    ['a pod of this node', {}],
    ['a pod in quarantine: as a destination it is known', { address: '10.1.0.6' }],
    ['a pod by its IPv6 address', { address: 'fd00::1', podPort: 80 }],
    ['a pod in the network of this node', { address: '10.0.0.1', podPort: 9100 }],
  ])('%s', (_, said) => {
    const target = { ...web, ...said };
    const end = endpointOfTunnel(table, target);
    expect(end?.endpoint).toMatchObject({ address: target.address, port: target.podPort });
    expect(end?.split.backends.map(({ backend }) => backend.endpoints)).toEqual([[end?.endpoint]]);
    expect(end?.host).toMatchObject({ namespace: 'shop', service: 'web' });
    // Of a kept connection that is stale (exchange.ts); all else the caller's proxy sees to.
    expect(end?.host.rules).toMatchObject({ retryAttempts: 1, retryOn: ['reset'] });
  });

  test.each<[string, Partial<TunnelTarget>]>([
    ['a pod of another node', { address: '10.1.0.5' }],
    ['a port that the Service does not have', { port: 81 }],
    ['a port that the pod does not serve for it', { podPort: 22 }],
    ['an address that is in no slice', { address: '10.1.0.9' }],
    ['a Service that is not there', { service: 'nothing' }],
    ['another namespace’s pod through a forged slice', { namespace: 'evil' }],
    [
      'another namespace’s pod at a port of a forged slice',
      { namespace: 'evil', address: '10.1.0.2', podPort: 22 },
    ],
    ['a pod that is not in the network of this node', { address: '10.0.0.1', podPort: 9101 }],
    ['a pod in the network of another node', { address: '10.0.0.1', podPort: 9102 }],
    ['a port of the node that is no endpoint’s', { address: '10.0.0.1', podPort: 10250 }],
    ['the node itself', { namespace: 'evil', address: '10.0.0.1', podPort: 10250 }],
    ['an address outside', { namespace: 'evil', address: '1.2.3.4', podPort: 80 }],
    ['a disputed address', { address: '10.1.0.7' }],
    ['a name that is a key of every object', { namespace: '__proto__', service: 'constructor' }],
    ['loopback', { namespace: 'evil', address: '127.0.0.1', podPort: 80 }],
  ])('never %s', (_, said) => {
    expect(endpointOfTunnel(table, { ...web, ...said })).toBeUndefined();
  });
});

describe('the source of a tunnel', () => {
  const proxyId = idOf('weft-system', 'weft-proxy');
  const head = {
    servicePort: 80,
    hostname: 'web.shop.mesh',
    method: 'GET',
    path: '/',
    fieldValues: () => [],
  };
  const end = endpointOfTunnel(table, web);

  function idOf(namespace: string, serviceAccount: string): SpiffeId {
    const id = formatSpiffeId({ trustDomain: 'test', namespace, serviceAccount });
    if (id === undefined) throw new Error('no id');
    return id;
  }

  function verdict(namespace: string, serviceAccount: string): string {
    const spiffeId = idOf(namespace, serviceAccount);
    const source = sourceOfPeer({ namespace, serviceAccount, spiffeId }, proxyId);
    if (end === undefined) throw new Error('no end');
    const said = authorise(table, source, end.endpoint, head);
    return said.kind === 'allow' ? 'allow' : said.reason;
  }

  test('is the account of its certificate', () => {
    expect(verdict('shop', 'front')).toBe('allow');
    expect(verdict('shop', 'back')).toBe('SourceNotAllowed');
    expect(verdict('other', 'front')).toBe('SourceNotAllowed');
  });

  test('is nobody under the proxy’s own, even if a TrafficTarget names it', () => {
    expect(verdict('weft-system', 'weft-proxy')).toBe('SourceUnknown');
  });

  test('tells no workload, but whose account it is', () => {
    const source = sourceOfPeer(
      { namespace: 'shop', serviceAccount: 'front', spiffeId: idOf('shop', 'front') },
      proxyId,
    );
    expect(source).toEqual({
      kind: 'workload',
      namespace: 'shop',
      serviceAccount: 'front',
      principal: 'shop/front',
      workload: 'ServiceAccount/front',
      podName: '',
    });
  });
});
