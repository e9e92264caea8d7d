// Reads what an installed mesh says of itself: its pods, its Lease, its Services, the version of
// each proxy (through the API server, so that it works from anywhere) and the conditions of SMI
// objects. IO without judgement: see mesh-facts.ts.
import { parsers, proxyObstacleOf, resolveServiceSettings } from '../../api/index.ts';
import { resourcePath, type Connection } from '../../kube/index.ts';
import type { Clock } from '../../lib/clock.ts';
import { listAt, textAt, valueAt } from '../../lib/raw-object.ts';
import type { Finding } from './finding.ts';
import { readCertificateFacts } from './read-certificates.ts';
import type { MeshFacts, ProxyFacts, ProxyVersion } from './mesh-facts.ts';
import { conditionIs, nameOf, orNothing, readAll } from './read-cluster.ts';

export type MeshQuestion = {
  readonly meshNamespace: string;
  readonly build: string;
  readonly adminPort: number;
  readonly dns: readonly Finding[];
  /** Wall clock: Leases are stamped by it. */
  readonly clock: Clock;
};

const core = { group: '', version: 'v1' };
const apps = { group: 'apps', version: 'v1' };
/** A proxy that does not say its version by then is not well. */
const answerTimeoutMs = 3_000;
/** So many proxies are asked at once. */
const askedAtOnce = 20;

export async function readMeshFacts(
  connection: Connection,
  question: MeshQuestion,
): Promise<MeshFacts> {
  const namespace = question.meshNamespace;
  const daemonSet = await orNothing(
    connection.get(resourcePath({ ...apps, plural: 'daemonsets', namespace, name: 'weft-proxy' })),
  );
  const deployment = await orNothing(
    connection.get(
      resourcePath({ ...apps, plural: 'deployments', namespace, name: 'weft-controller' }),
    ),
  );
  const services = await readAll(connection, { ...core, plural: 'services', namespace }, (one) => {
    const ips = listAt(one, 'spec', 'clusterIPs').filter((ip) => typeof ip === 'string');
    return [nameOf(one), ips] as const;
  });
  const proxies = await readProxies(connection, question);
  const { clock } = question;
  return {
    meshNamespace: namespace,
    build: question.build,
    isInstalled: daemonSet !== undefined,
    image: textAt(listAt(daemonSet, 'spec', 'template', 'spec', 'containers')[0], 'image'),
    controllers: {
      wanted: numberAt(deployment, 'spec', 'replicas'),
      ready: numberAt(deployment, 'status', 'readyReplicas'),
      builds: await readControllerBuilds(connection, question),
    },
    leader: await readLeader(connection, question),
    nodes: await readAll(connection, { ...core, plural: 'nodes' }, (node) => ({
      name: nameOf(node),
      proxyObstacle: proxyObstacleOf(node),
    })),
    proxies,
    certificates: await readCertificateFacts(connection, {
      meshNamespace: namespace,
      proxies,
      clock,
    }),
    services: new Map(services),
    dns: question.dns,
    refused: await readRefused(connection),
    unverified: await readUnverified(connection),
  };
}

function numberAt(value: unknown, ...path: readonly string[]): number {
  const found = valueAt(value, ...path);
  return typeof found === 'number' ? found : 0;
}

async function readLeader(
  connection: Connection,
  { meshNamespace, clock }: MeshQuestion,
): Promise<MeshFacts['leader']> {
  const path = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };
  const lease = await orNothing(
    connection.get(resourcePath({ ...path, namespace: meshNamespace, name: 'weft-controller' })),
  );
  const holder = textAt(lease, 'spec', 'holderIdentity') ?? '';
  const renewed = Date.parse(textAt(lease, 'spec', 'renewTime') ?? '');
  if (holder === '' || Number.isNaN(renewed)) return undefined;
  return { holder, ageSeconds: (clock.wallMs() - renewed) / 1_000 };
}

const ours = 'app.kubernetes.io/name=weft,app.kubernetes.io/component';

/** Builds of the controllers that answer; there are two or three of them. */
async function readControllerBuilds(
  connection: Connection,
  question: MeshQuestion,
): Promise<readonly string[]> {
  const path = { ...core, plural: 'pods', namespace: question.meshNamespace };
  const labelSelector = `${ours}=controller`;
  const pods = await readAll(connection, path, nameOf, { labelSelector });
  const versions = await Promise.all(
    pods.slice(0, askedAtOnce).map((pod) => readVersion(connection, question, pod)),
  );
  return versions.flatMap((version) => version?.build ?? []);
}

async function readProxies(
  connection: Connection,
  question: MeshQuestion,
): Promise<readonly ProxyFacts[]> {
  const path = { ...core, plural: 'pods', namespace: question.meshNamespace };
  const labelSelector = `${ours}=proxy`;
  const pods = await readAll(connection, path, proxyOf, { labelSelector });
  const asked: ProxyFacts[] = [];
  for (let at = 0; at < pods.length; at += askedAtOnce) {
    const some = pods.slice(at, at + askedAtOnce);
    asked.push(...(await Promise.all(some.map((pod) => withVersion(connection, question, pod)))));
  }
  return asked;
}

function proxyOf(pod: unknown): ProxyFacts {
  const states = listAt(pod, 'status', 'containerStatuses');
  const waiting = states.flatMap((state) => textAt(state, 'state', 'waiting', 'reason') ?? [])[0];
  const unscheduled = listAt(pod, 'status', 'conditions')
    .filter((one) => textAt(one, 'type') === 'PodScheduled' && textAt(one, 'status') === 'False')
    .flatMap((one) => textAt(one, 'message') ?? [])[0];
  return {
    pod: nameOf(pod),
    node: textAt(pod, 'spec', 'nodeName') ?? '',
    isReady: conditionIs(pod, 'Ready', 'True'),
    waiting: waiting ?? unscheduled,
    version: undefined,
  };
}

async function withVersion(
  connection: Connection,
  question: MeshQuestion,
  proxy: ProxyFacts,
): Promise<ProxyFacts> {
  return { ...proxy, version: await readVersion(connection, question, proxy.pod) };
}

async function readVersion(
  connection: Connection,
  { meshNamespace, adminPort }: MeshQuestion,
  pod: string,
): Promise<ProxyVersion | undefined> {
  const name = `${pod}:${adminPort}`;
  const path = { ...core, plural: 'pods', namespace: meshNamespace, name, subresource: 'proxy' };
  try {
    const said = await connection.within(answerTimeoutMs).get(`${resourcePath(path)}/version`);
    const build = textAt(said, 'build');
    const policyVersion = textAt(said, 'policyVersion');
    if (build === undefined || policyVersion === undefined) return undefined;
    return { build, policyVersion, hasIdentity: valueAt(said, 'trust') !== undefined };
  } catch {
    // Whatever went wrong on the way: it does not answer, and that is the finding.
    return undefined;
  }
}

const smiKinds = [
  { group: 'access.smi-spec.io', version: 'v1alpha3', plural: 'traffictargets' },
  { group: 'specs.smi-spec.io', version: 'v1alpha4', plural: 'httproutegroups' },
  { group: 'specs.smi-spec.io', version: 'v1alpha4', plural: 'tcproutes' },
  { group: 'specs.smi-spec.io', version: 'v1alpha4', plural: 'udproutes' },
  { group: 'split.smi-spec.io', version: 'v1alpha4', plural: 'trafficsplits' },
];

/** Objects of which a condition says False, with its message. */
async function readRefused(connection: Connection): Promise<readonly string[]> {
  const refused: string[] = [];
  for (const path of smiKinds) {
    const found = await readAll(connection, path, refusalOf);
    refused.push(...found.filter((text) => text !== ''));
  }
  return refused;
}

function refusalOf(object: unknown): string {
  const refusals = listAt(object, 'status', 'conditions').filter((condition) => {
    const type = textAt(condition, 'type');
    const isOfUser = type === 'Accepted' || type === 'ResolvedRefs';
    return isOfUser && textAt(condition, 'status') === 'False';
  });
  const [first] = refusals;
  if (first === undefined) return '';
  const kind = textAt(object, 'kind') ?? 'object';
  const path = `${textAt(object, 'metadata', 'namespace') ?? ''}/${nameOf(object)}`;
  return `${kind} ${path}: ${textAt(first, 'message') ?? textAt(first, 'reason') ?? ''}`;
}

/** Services whose pods are taken by their word. */
async function readUnverified(connection: Connection): Promise<readonly string[]> {
  const read = <T>(plural: string, take: (object: unknown) => T) =>
    readAll(connection, { ...core, plural }, take);
  const namespaces = await read('namespaces', (one) => parsers.Namespace(one).value);
  const byName = new Map(namespaces.map((one) => [one?.meta.name, one]));
  const services = await read('services', (one) => parsers.Service(one).value);
  return services.flatMap((service) => {
    if (service === undefined) return [];
    const { name, namespace } = service.meta;
    const { value } = resolveServiceSettings(service, byName.get(namespace));
    const isUnverified = value.scheme === 'https' && value.tlsVerify === 'off';
    return isUnverified ? [`${namespace}/${name}`] : [];
  });
}
