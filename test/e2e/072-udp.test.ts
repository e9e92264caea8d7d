// DNS by UDP through the mesh on a real cluster: CoreDNS in two pods, resolvers on every node. Over
// kube-proxy's rules and conntrack, across nodes in strict mode, under policy, and while the
// servers and the proxies are replaced.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allRolledOut, meshNamespace, proxies, rolledOut } from './support/cluster.ts';
import { apply, kubectl, type Json } from './support/kubectl.ts';
import { metricSum } from './support/metrics.ts';
import { annotateMtls } from './support/mtls.ts';
import { namespaceWithPrograms, serviceAccount } from './support/objects.ts';
import { callers } from './support/shop.ts';
import type { From } from './support/calls.ts';
import { until } from './support/until.ts';

const namespace = 'names';
const server = 'dns.names.mesh';

type Told = { readonly answered: number; readonly failures: Readonly<Record<string, number>> };

type Plan = {
  readonly count?: number;
  readonly perSecond?: number;
  readonly tries?: number;
  readonly timeoutMs?: number;
};

async function resolve(from: From, plan: Plan = {}): Promise<Told> {
  const command = ['node', '/programs/resolve.ts', JSON.stringify({ server, ...plan })];
  const place = ['-n', from.namespace, 'exec', `deploy/${from.client}`, '--'];
  // Written by programs/resolve.ts.
  return JSON.parse(await kubectl([...place, ...command], { timeoutMs: 120_000 })) as Told;
}

async function untilResolved(from: From): Promise<void> {
  await until('a name resolves', async () => {
    const told = await resolve(from, { count: 1 }).catch(() => undefined);
    return told?.answered === 1 ? true : undefined;
  });
}

/** The image that the cluster's own DNS runs. */
function coreDnsImage(): Promise<string> {
  const path = 'jsonpath={.spec.template.spec.containers[0].image}';
  return kubectl(['-n', 'kube-system', 'get', 'deployment/coredns', '-o', path]);
}

/** Every name has one address; a pod that ends serves on while others learn of it. */
const corefile = `.:5353 {
  errors
  health :8080 {
    lameduck 5s
  }
  ready :8181
  template IN A {
    answer "{{ .Name }} 5 IN A 192.0.2.53"
  }
}
`;

function dnsDeployment(image: string): Json {
  const labels = { app: 'dns' };
  const securityContext = {
    allowPrivilegeEscalation: false,
    // The file of CoreDNS has this capability, and cannot be run without it.
    capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
  };
  const container = {
    name: 'coredns',
    image,
    imagePullPolicy: 'IfNotPresent',
    args: ['-conf', '/etc/coredns/Corefile'],
    securityContext,
    volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
    readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
  };
  const spec = {
    serviceAccountName: 'dns',
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [container],
    volumes: [{ name: 'config', configMap: { name: 'corefile' } }],
    dnsPolicy: 'Default',
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace, name: 'dns' },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: { metadata: { labels }, spec },
    },
  };
}

let from: readonly From[];

beforeAll(async () => {
  from = await callers();
  await apply(namespaceWithPrograms(namespace));
  await apply([
    serviceAccount(namespace, 'dns'),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name: 'corefile' },
      data: { Corefile: corefile },
    },
    dnsDeployment(await coreDnsImage()),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'dns' },
      spec: {
        selector: { app: 'dns' },
        ports: [{ name: 'dns', port: 53, protocol: 'UDP', targetPort: 5353 }],
      },
    },
  ]);
  await allRolledOut(namespace);
});

// Cases that come later look at namespaces that enforce.
afterAll(async () => {
  await kubectl(['delete', 'namespace', namespace], { timeoutMs: 120_000 });
});

describe('DNS by UDP', () => {
  test('is answered on every node, each question', async () => {
    for (const one of from) {
      await untilResolved(one);
      expect(await resolve(one)).toEqual({ answered: 100, failures: {} });
    }
  });

  test('is answered across nodes in strict mode', async () => {
    await annotateMtls(namespace, 'strict');
    for (const one of from) {
      await untilResolved(one);
      expect(await resolve(one)).toEqual({ answered: 100, failures: {} });
    }
  });

  test('is dropped where policy enforces, and answered when a UDPRoute allows it', async () => {
    const [one] = from;
    if (one === undefined) throw new Error('there is no caller');
    const annotate = ['annotate', '--overwrite', 'namespace', namespace];
    await kubectl([...annotate, 'weft.dev/policy=enforce']);
    await until('nobody is answered', async () => {
      const { answered } = await resolve(one, { count: 1 });
      return answered === 0 ? true : undefined;
    });
    const labels = { destination_namespace: namespace, destination_service: 'dns' };
    await until('it is counted', async () =>
      (await metricSum('weft_udp_dropped_datagrams_total', labels)) > 0 ? true : undefined,
    );
    await apply([
      {
        apiVersion: 'specs.smi-spec.io/v1alpha4',
        kind: 'UDPRoute',
        metadata: { namespace, name: 'dns' },
        spec: { matches: { ports: [5353] } },
      },
      {
        apiVersion: 'access.smi-spec.io/v1alpha3',
        kind: 'TrafficTarget',
        metadata: { namespace, name: 'resolve' },
        spec: {
          destination: { kind: 'ServiceAccount', name: 'dns', namespace },
          sources: [{ kind: 'ServiceAccount', name: 'caller', namespace: 'web' }],
          rules: [{ kind: 'UDPRoute', name: 'dns' }],
        },
      },
    ]);
    for (const each of from) {
      await untilResolved(each);
      expect(await resolve(each)).toEqual({ answered: 100, failures: {} });
    }
  });

  test('loses nothing while the servers are replaced', async () => {
    const asked = from.map((one) => resolve(one, { count: 1_500, timeoutMs: 2_000 }));
    await kubectl(['-n', namespace, 'rollout', 'restart', 'deployment/dns']);
    await rolledOut(namespace, 'deployment/dns');
    const told = await Promise.all(asked);
    expect(told).toEqual(from.map(() => ({ answered: 1_500, failures: {} })));
  });

  test('fails for no resolver that asks again while the proxies are replaced', async () => {
    const asked = from.map((one) => resolve(one, { count: 3_000, tries: 3 }));
    await kubectl(['-n', meshNamespace, 'rollout', 'restart', 'daemonset/weft-proxy']);
    await rolledOut(meshNamespace, 'daemonset/weft-proxy', 180_000);
    await proxies(120_000);
    const told = await Promise.all(asked);
    expect(told).toEqual(from.map(() => ({ answered: 3_000, failures: {} })));
  });
});
