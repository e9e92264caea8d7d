// What `weft check` says of an installed mesh, one law per finding. Facts are made by hand; that
// they are read rightly is tested against real API servers and a real cluster.
import { describe, expect, test } from 'vitest';
import { exitCodeOf } from './finding.ts';
import { meshFindings, type MeshFacts, type ProxyFacts } from './mesh-facts.ts';

function proxyOn(node: string, version = 'p1', build = '1.0.0'): ProxyFacts {
  const said = { build, policyVersion: version, hasIdentity: false };
  return { pod: `weft-proxy-${node}`, node, isReady: true, version: said, waiting: undefined };
}

const good: MeshFacts = {
  meshNamespace: 'weft-system',
  build: '1.0.0',
  isInstalled: true,
  image: 'weft:1.0.0',
  controllers: { wanted: 2, ready: 2, builds: ['1.0.0', '1.0.0'] },
  leader: { holder: 'weft-controller-a', ageSeconds: 2 },
  nodes: ['node-1', 'node-2'].map((name) => ({ name, proxyObstacle: undefined })),
  proxies: [proxyOn('node-1'), proxyOn('node-2')],
  services: new Map([
    ['weft-http', ['10.96.0.7']],
    ['weft-dns', ['10.96.0.8']],
  ]),
  certificates: {
    meshNamespace: 'weft-system',
    nowMs: 0,
    mode: 'off',
    without: ['weft-proxy-node-1', 'weft-proxy-node-2'],
    identity: undefined,
    wanted: new Map(),
  },
  dns: [],
  refused: [],
  unverified: [],
};

function finding(check: string, facts: Partial<MeshFacts>) {
  return meshFindings({ ...good, ...facts }).find((one) => one.check === check);
}

describe('an installed mesh', () => {
  test('that is well fails nothing', () => {
    expect(meshFindings(good).map(({ state }) => state)).toEqual(
      meshFindings(good).map(() => 'ok'),
    );
  });

  test('that is not there says how to install it, and nothing else', () => {
    const findings = meshFindings({ ...good, isInstalled: false });
    expect(findings).toHaveLength(1);
    expect(findings[0]?.fix).toContain('weft install');
    expect(exitCodeOf(findings)).toBe(1);
  });

  test('one of two controllers is a warning, none is a failure', () => {
    const at = (ready: number) =>
      finding('controller', { controllers: { ...good.controllers, ready } })?.state;
    expect(at(1)).toBe('warning');
    expect(at(0)).toBe('failed');
  });

  test('a Lease that nobody renews is a failure', () => {
    const leader = { holder: 'gone', ageSeconds: 120 };
    expect(finding('leader', { leader })?.message).toContain('120 s ago');
  });

  test('names the node without a proxy, and why', () => {
    const waiting = { ...proxyOn('node-2'), isReady: false, waiting: 'ImagePullBackOff' };
    const lacking = finding('nodes', { proxies: [proxyOn('node-1'), waiting] });
    expect(lacking?.state).toBe('failed');
    expect(lacking?.message).toContain('node-2');
    expect(lacking?.message).toContain('ImagePullBackOff');
  });

  test('a node on which no proxy can run is named, and does not fail the others', () => {
    const windows = { name: 'win-1', proxyObstacle: 'it is windows/amd64' };
    const nodes = meshFindings({ ...good, nodes: [...good.nodes, windows] }).filter(
      ({ check }) => check === 'nodes',
    );
    expect(nodes.map(({ state }) => state)).toEqual(['ok', 'warning']);
    expect(nodes[0]?.message).toContain('each of 2 nodes that can have one');
    expect(nodes[1]?.message).toContain('win-1 cannot run a proxy: it is windows/amd64');
  });

  test('a node is well while one of two proxies on it serves', () => {
    const old = { ...proxyOn('node-1'), isReady: false };
    expect(finding('nodes', { proxies: [old, ...good.proxies] })?.state).toBe('ok');
  });

  test('a proxy that does not answer on its admin port does not serve', () => {
    const silent = { ...proxyOn('node-2'), version: undefined };
    expect(finding('nodes', { proxies: [proxyOn('node-1'), silent] })?.state).toBe('failed');
  });

  test('several builds, or one that is not ours, are a warning', () => {
    const mixed = [proxyOn('node-1'), proxyOn('node-2', 'p1', '1.1.0')];
    expect(finding('versions', { proxies: mixed })).toMatchObject({
      state: 'warning',
      message: 'proxies run 1.0.0 on node-1, 1.1.0 on node-2',
    });
    expect(finding('versions', { build: '2.0.0' })?.fix).toContain('weft upgrade');
  });

  test('two builds of one version are two builds', () => {
    const found = finding('versions', { build: '1.0.0+abc' });
    expect(found?.message).toBe('all proxies run 1.0.0, this program is 1.0.0+abc');
    expect(found?.state).toBe('warning');
  });

  test('controllers of another build than the proxies are a warning', () => {
    const controllers = { ...good.controllers, builds: ['1.0.0', '0.9.0'] };
    const found = finding('versions', { controllers });
    expect(found?.message).toBe('proxies run 1.0.0, controllers 0.9.0');
    expect(found?.state).toBe('warning');
  });

  test('says of certificates what is known, also that there are none', () => {
    expect(finding('certificates', {})?.message).toContain('mutual TLS is off');
  });

  test('proxies that use different objects are a warning', () => {
    const apart = [proxyOn('node-1'), proxyOn('node-2', 'p2')];
    expect(finding('configuration', { proxies: apart })?.state).toBe('warning');
  });

  test('objects that are not accepted are shown, five at most', () => {
    const refused = Array.from({ length: 7 }, (_, at) => `TrafficSplit shop/s${at}: no`);
    const message = finding('objects', { refused })?.message ?? '';
    expect(message).toContain('TrafficSplit shop/s4');
    expect(message).not.toContain('shop/s5');
    expect(message).toContain('and 2 more');
  });

  test('Services whose pods nobody verifies are a warning, and no line without them', () => {
    const found = finding('tls-verify', { unverified: ['shop/pay', 'shop/api'] });
    expect([found?.state, found?.message]).toEqual([
      'warning',
      'nobody verifies who answers for shop/pay, shop/api (weft.dev/scheme: https)',
    ]);
    expect(finding('tls-verify', {})).toBeUndefined();
  });
});
