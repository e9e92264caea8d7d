// Services of every kind that Kubernetes has, called by their mesh names: what has pods or
// endpoints answers, what the mesh does not carry does not exist there.
import { beforeAll, describe, expect, test } from 'vitest';
import { call, get, outcome, type From } from './support/calls.ts';
import { allRolledOut, isReady, podsOf } from './support/cluster.ts';
import { apply, kubectl, type Json } from './support/kubectl.ts';
import { namespaceWithPrograms, server, service } from './support/objects.ts';
import { callers } from './support/shop.ts';
import { until } from './support/until.ts';

const longName = 'a'.repeat(63);
const selector = { app: 'many' };

function serviceWith(name: string, spec: Json): Json {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'kinds', name }, spec };
}

const http = { name: 'http', port: 80, targetPort: 8080 };

const services: readonly Json[] = [
  service('kinds', 'plain', selector),
  service('kinds', longName, selector),
  serviceWith('named', { selector, ports: [{ ...http, targetPort: 'web' }] }),
  serviceWith('several', {
    selector,
    ports: [http, { name: 'admin', port: 8081, targetPort: 9090 }],
  }),
  serviceWith('headless', { clusterIP: 'None', selector, ports: [{ ...http, port: 8080 }] }),
  serviceWith('raw', { selector, ports: [{ name: 'tcp-raw', port: 7000, targetPort: 8080 }] }),
  serviceWith('outside', { type: 'ExternalName', externalName: 'api.shop.svc.cluster.local' }),
  serviceWith('empty', { selector: { app: 'nobody' }, ports: [http] }),
  serviceWith('manual', { ports: [http] }),
  serviceWith('left', {
    ...(service('kinds', 'plain', selector)['spec'] as Json),
    sessionAffinity: 'ClientIP',
  }),
];

let from: From;

async function answersOf(url: string): Promise<string> {
  return outcome(await get(from, url));
}

async function untilAnswers(url: string, wanted = '200'): Promise<void> {
  await until(`${url} answers ${wanted}`, async () =>
    (await answersOf(url)) === wanted ? true : undefined,
  );
}

beforeAll(async () => {
  [from = { namespace: 'web', client: 'none' }] = await callers();
  await apply(namespaceWithPrograms('kinds'));
  await apply([server({ namespace: 'kinds', name: 'many', replicas: 2 }), ...services]);
  const ports = [
    { name: 'web', containerPort: 8080 },
    { name: 'other', containerPort: 9090 },
  ];
  const container = { name: 'app', ports };
  const sidecar = {
    spec: { template: { spec: { containers: [container] } } },
  };
  const patch = JSON.stringify(sidecar);
  await kubectl(['-n', 'kinds', 'patch', 'deployment/many', '--type=strategic', '-p', patch]);
  await allRolledOut('kinds');
});

describe('Services of every kind', () => {
  test.each([
    ['an ordinary one', 'http://plain.kinds.mesh/'],
    ['a second one on the same pods', 'http://left.kinds.mesh/'],
    ['a name of 63 characters', `http://${longName}.kinds.mesh/`],
    ['a target port by its name', 'http://named.kinds.mesh/'],
    ['one of several ports', 'http://several.kinds.mesh/'],
    ['a headless one, at its own port', 'http://headless.kinds.mesh:8080/'],
  ])('%s', async (_what, url) => {
    await untilAnswers(url);
    const answers = await call(from, [{ url, times: 4 }]);
    expect(answers.map(outcome)).toEqual(['200', '200', '200', '200']);
    for (const { body } of answers) expect(body).toContain('"version":"many"');
  });

  test('TCP has an address and a port of its own, and its bytes are passed on', async () => {
    await untilAnswers('http://raw.kinds.mesh:7000/');
    // Nobody on the way has read them: the app sees no field of the mesh.
    const [answer] = await call(from, [{ url: 'http://raw.kinds.mesh:7000/' }]);
    expect(answer?.body).toContain('"version":"many"');
    expect(answer?.body).not.toContain('"via"');
  });

  test('another port of the same Service, where nobody listens, is refused', async () => {
    await untilAnswers('http://several.kinds.mesh:8081/', '502 UpstreamConnect');
  });

  test('one without pods says that it has none', async () => {
    await untilAnswers('http://empty.kinds.mesh/', '503 NoEndpoints');
  });

  test('one without selector, with EndpointSlices written by hand', async () => {
    // A pod of the roll-out before may still be on its way out.
    const pod = (await podsOf('kinds', 'app=many')).find(isReady);
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        namespace: 'kinds',
        name: 'manual-1',
        labels: { 'kubernetes.io/service-name': 'manual' },
      },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [{ addresses: [pod?.status.podIP] }],
    };
    await apply([slice]);
    await untilAnswers('http://manual.kinds.mesh/');
  });

  test('ExternalName, single pods and kube-system have no mesh name', async () => {
    expect(await answersOf('http://outside.kinds.mesh/')).toBe('ENOTFOUND');
    expect(await answersOf('http://pod-0.headless.kinds.mesh/')).toBe('ENOTFOUND');
    expect(await answersOf('http://kube-dns.kube-system.mesh:53/')).toBe('ENOTFOUND');
  });

  test('a port that the Service does not have is unknown', async () => {
    expect(await answersOf('http://plain.kinds.mesh:8081/')).toBe('404 UnknownService');
  });

  test('one that is deleted is gone, and back when it is created again', async () => {
    await kubectl(['-n', 'kinds', 'delete', 'service', 'left']);
    await until('it is gone', async () => {
      const got = await answersOf('http://left.kinds.mesh/');
      return got === 'ENOTFOUND' || got === '404 UnknownService' ? true : undefined;
    });
    await apply([service('kinds', 'left', selector)]);
    await untilAnswers('http://left.kinds.mesh/');
  });
});
