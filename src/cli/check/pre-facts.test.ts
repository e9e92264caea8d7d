// What a cluster must have before weft is installed, one law per finding. Facts are made by hand;
// that they are read rightly from a cluster is tested against real API servers.
import { describe, expect, test } from 'vitest';
import { exitCodeOf, findingsTable } from './finding.ts';
import { preFindings, type NodeFacts, type PreFacts } from './pre-facts.ts';

const node: NodeFacts = {
  name: 'node-1',
  proxyObstacle: undefined,
  isReady: true,
  rawPods: 0,
};

const good: PreFacts = {
  serverVersion: { major: 1, minor: 34, text: 'v1.34.4' },
  permissions: [{ verb: 'create', resource: 'daemonsets.apps', isAllowed: true }],
  grants: [],
  limits: { meshNamespace: 'weft-system', pods: [], quotas: [], limits: [] },
  dns: { provider: 'CoreDNS', place: 'kube-system/coredns', byHand: undefined },
  namespaces: ['default', 'shop'],
  meshNamespace: 'weft-system',
  meshDomains: ['mesh'],
  nodes: [node],
  daemonSets: ['kube-proxy'],
  foreignServices: [],
};

function stateOf(check: string, facts: Partial<PreFacts>): readonly string[] {
  return preFindings({ ...good, ...facts })
    .filter((finding) => finding.check === check)
    .map(({ state }) => state);
}

describe('before the installation', () => {
  test('a cluster that has everything fails nothing', () => {
    expect(exitCodeOf(preFindings(good))).toBe(0);
    expect(preFindings(good).every(({ state }) => state === 'ok')).toBe(true);
  });

  test('Kubernetes 1.29 is too old, 1.30 is not, and 2.0 would not be', () => {
    const at = (major: number, minor: number) =>
      stateOf('api-version', { serverVersion: { major, minor, text: 'x' } });
    expect(at(1, 29)).toEqual(['failed']);
    expect(at(1, 30)).toEqual(['ok']);
    expect(at(2, 0)).toEqual(['ok']);
  });

  test('names each thing that may not be created', () => {
    const permissions = [
      { verb: 'create', resource: 'daemonsets.apps', isAllowed: false },
      { verb: 'create', resource: 'namespaces', isAllowed: true },
    ];
    const [finding] = preFindings({ ...good, permissions }).filter(
      ({ check }) => check === 'permissions',
    );
    expect(finding?.state).toBe('failed');
    expect(finding?.message).toContain('create daemonsets.apps');
    expect(finding?.message).not.toContain('namespaces');
  });

  test('names what may not be granted, the first of many', () => {
    const grants = Array.from({ length: 9 }, (_, at) => ({
      verb: 'patch',
      resource: `things${at}`,
      namespace: 'kube-system',
      isAllowed: at === 0,
    }));
    const [finding] = preFindings({ ...good, grants }).filter(
      ({ check }) => check === 'permissions',
    );
    expect(finding?.state).toBe('failed');
    expect(finding?.message).toContain('grant the roles of weft what you may not do: patch th');
    expect(finding?.message).toContain('things6 in kube-system and 2 more');
  });

  test('a DNS that cannot be wired fails with the lines to add by hand', () => {
    const dns = { provider: undefined, place: '', byHand: 'mesh:53 { forward . 10.96.0.9 }' };
    const [finding] = preFindings({ ...good, dns }).filter(({ check }) => check === 'dns-provider');
    expect(finding?.state).toBe('failed');
    expect(finding?.fix).toBe('mesh:53 { forward . 10.96.0.9 }');
  });

  test('a namespace called like a mesh domain fails', () => {
    expect(stateOf('mesh-domain', { namespaces: ['mesh'] })).toEqual(['failed']);
    expect(stateOf('mesh-domain', { namespaces: ['meshed'] })).toEqual(['ok']);
  });

  test('a Service of our name that is not ours fails', () => {
    expect(stateOf('names', { foreignServices: ['weft-http'] })).toEqual(['failed']);
  });

  test('names each node that cannot run a proxy', () => {
    const nodes: readonly NodeFacts[] = [
      node,
      { ...node, name: 'windows', proxyObstacle: 'it is windows/amd64' },
      { ...node, name: 'virtual', proxyObstacle: 'it takes no DaemonSet' },
      { ...node, name: 'riscv', proxyObstacle: 'it is linux/riscv64' },
    ];
    const findings = preFindings({ ...good, nodes }).filter(({ check }) => check === 'nodes');
    expect(findings.map(({ message }) => message.split(' ')[0])).toEqual([
      'windows',
      'virtual',
      'riscv',
    ]);
    expect(findings.every(({ state }) => state === 'warning')).toBe(true);
  });

  test('pods that keep NET_RAW are a warning unless the CNI filters source addresses', () => {
    const nodes = [{ ...node, rawPods: 3 }];
    expect(stateOf('source-addresses', { nodes })).toEqual(['warning']);
    expect(stateOf('source-addresses', { nodes, daemonSets: ['cilium'] })).toEqual(['ok']);
  });
});

describe('the table', () => {
  test('puts what to do below what is wrong, and sums up', () => {
    const text = findingsTable(preFindings({ ...good, namespaces: ['mesh'] }));
    expect(text).toContain('failed   mesh-domain');
    expect(text).toMatch(/\n +→ choose another --mesh-domain\n/);
    expect(text.trimEnd().split('\n').at(-1)).toMatch(/^\d+ ok, 0 warnings, 1 failed$/);
  });
});
