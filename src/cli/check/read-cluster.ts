// Reads what checks want to know from a cluster, a page at a time and pruned at once. IO without
// judgement: what the facts mean is in pre-facts.ts and mesh-facts.ts.
import { proxyObstacleOf } from '../../api/index.ts';
import { resourcePath, type Connection, type Query, type ResourcePath } from '../../kube/index.ts';
import { kubeReason } from '../../kube/index.ts';
import { listAt, textAt, valueAt } from '../../lib/raw-object.ts';
import type { Right } from './install-needs.ts';
import type { NodeFacts, Permission, PreFacts } from './pre-facts.ts';

const pageSize = 500;
/** 100 000 objects: a check that reads more should not. */
const pagesMax = 200;

/** Every object of a kind as `take` keeps it; none where the kind or the namespace is unknown. */
export async function readAll<T>(
  connection: Connection,
  path: ResourcePath,
  take: (object: unknown) => T,
  query: Query = {},
): Promise<readonly T[]> {
  const kept: T[] = [];
  let next: string | undefined;
  for (let page = 0; page < pagesMax; page += 1) {
    const asked = { ...query, limit: pageSize, continue: next };
    const list = await orNothing(connection.get(resourcePath(path), asked));
    for (const object of listAt(list, 'items')) kept.push(take(object));
    next = textAt(list, 'metadata', 'continue');
    if (next === undefined || next === '') return kept;
  }
  return kept;
}

/** The answer, or `undefined` where what was asked for does not exist. */
export async function orNothing(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (kubeReason(error) === 'NotFound') return undefined;
    throw error;
  }
}

export function nameOf(object: unknown): string {
  return textAt(object, 'metadata', 'name') ?? '';
}

const core = { group: '', version: 'v1' };
const apps = { group: 'apps', version: 'v1' };

export type PreQuestion = {
  readonly meshNamespace: string;
  readonly meshDomains: readonly string[];
  /** What the installation applies, what its roles grant, and what saves asking for each grant. */
  readonly rights: readonly Right[];
  readonly granted: readonly Right[];
  readonly grantAnything: readonly Right[];
  readonly dns: PreFacts['dns'];
};

export async function readPreFacts(
  connection: Connection,
  question: PreQuestion,
): Promise<Omit<PreFacts, 'limits'>> {
  const { meshNamespace, meshDomains, dns } = question;
  const rawPods = await rawPodsByNode(connection);
  const services = { ...core, plural: 'services', namespace: meshNamespace };
  return {
    serverVersion: await serverVersion(connection),
    permissions: await mayAll(connection, question.rights),
    grants: await readGrants(connection, question),
    dns,
    namespaces: await readAll(connection, { ...core, plural: 'namespaces' }, nameOf),
    meshNamespace,
    meshDomains,
    nodes: await readAll(connection, { ...core, plural: 'nodes' }, (object) =>
      nodeFacts(object, rawPods),
    ),
    daemonSets: await readAll(connection, { ...apps, plural: 'daemonsets' }, nameOf),
    foreignServices: (await readAll(connection, services, foreignName)).filter(
      (name) => name !== '',
    ),
  };
}

async function serverVersion(connection: Connection): Promise<PreFacts['serverVersion']> {
  const answer = await connection.get('/version');
  // Providers write `30+`.
  const number = (key: string): number => Number.parseInt(textAt(answer, key) ?? '0', 10) || 0;
  return {
    major: number('major'),
    minor: number('minor'),
    text: textAt(answer, 'gitVersion') ?? 'of an unknown version',
  };
}

async function readGrants(
  connection: Connection,
  { granted, grantAnything }: PreQuestion,
): Promise<readonly Permission[]> {
  const anything = await mayAll(connection, grantAnything);
  return anything.every(({ isAllowed }) => isAllowed) ? [] : mayAll(connection, granted);
}

/** So many questions are under way at once. */
const askedAtOnce = 20;

async function mayAll(
  connection: Connection,
  rights: readonly Right[],
): Promise<readonly Permission[]> {
  const answers: Permission[] = [];
  for (let at = 0; at < rights.length; at += askedAtOnce) {
    const some = rights.slice(at, at + askedAtOnce);
    answers.push(...(await Promise.all(some.map((right) => mayI(connection, right)))));
  }
  return answers;
}

async function mayI(connection: Connection, right: Right): Promise<Permission> {
  const { verb, resource, namespace, name } = right;
  const [whole = '', ...group] = resource.split('.');
  const [plural, subresource] = whole.split('/');
  const attributes = { verb, resource: plural, subresource, group: group.join('.') };
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { ...attributes, namespace, name } },
  };
  const path = { group: 'authorization.k8s.io', version: 'v1', plural: 'selfsubjectaccessreviews' };
  const answer = await connection.create(resourcePath(path), review);
  return { ...right, isAllowed: valueAt(answer, 'status', 'allowed') === true };
}

function nodeFacts(object: unknown, rawPods: ReadonlyMap<string, number>): NodeFacts {
  const name = nameOf(object);
  return {
    name,
    proxyObstacle: proxyObstacleOf(object),
    isReady: conditionIs(object, 'Ready', 'True'),
    rawPods: rawPods.get(name) ?? 0,
  };
}

export function conditionIs(object: unknown, type: string, status: string): boolean {
  return listAt(object, 'status', 'conditions').some(
    (condition) => textAt(condition, 'type') === type && textAt(condition, 'status') === status,
  );
}

async function rawPodsByNode(connection: Connection): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const nodes = await readAll(connection, { ...core, plural: 'pods' }, (pod) =>
    keepsNetRaw(pod) ? (textAt(pod, 'spec', 'nodeName') ?? '') : '',
  );
  for (const node of nodes) if (node !== '') counts.set(node, (counts.get(node) ?? 0) + 1);
  return counts;
}

/** Runtimes give NET_RAW to every container that does not drop it. */
function keepsNetRaw(pod: unknown): boolean {
  if (valueAt(pod, 'spec', 'hostNetwork') === true) return false;
  return listAt(pod, 'spec', 'containers').some((container) => {
    const capabilities = valueAt(container, 'securityContext', 'capabilities');
    const drops = listAt(capabilities, 'drop');
    const adds = listAt(capabilities, 'add');
    if (adds.includes('NET_RAW') || adds.includes('ALL')) return true;
    return !drops.includes('ALL') && !drops.includes('NET_RAW');
  });
}

const ourServices = /^weft-(http|dns|peers|l4-\d+)$/;

function foreignName(service: unknown): string {
  const name = nameOf(service);
  const isOurs = textAt(service, 'metadata', 'labels', 'weft.dev/component') === 'mesh-service';
  return ourServices.test(name) && !isOurs ? name : '';
}
