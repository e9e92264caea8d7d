// Takes a mesh out of a cluster again: lists what it found, in the order in which it goes. First
// the controller, which would repair what we remove; then the cluster's DNS, so that no new call
// starts for a mesh name; then all else. Everything may be run again: what is gone already is no
// error.
import { resourcePath, type Connection, type ResourcePath } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import { listAt, textAt } from '../../lib/raw-object.ts';
import {
  clusterKinds,
  crdPath,
  ourIdentity,
  readDefinitions,
  readRequests,
  requestPath,
  requestsText,
} from '../check/our-objects.ts';
import { nameOf, orNothing, readAll } from '../check/read-cluster.ts';
import { poll } from '../poll.ts';

/** One thing to remove; `what` is for people. */
export type Removal = { readonly what: string; readonly path: ResourcePath };

export type UninstallPlan = {
  readonly meshNamespace: string;
  readonly removals: readonly Removal[];
  /** Requests for certificates, as text; they go when nobody is left who makes new ones. */
  readonly requests: readonly string[];
  /** What was asked for and is not ours to remove. */
  readonly foreign: readonly string[];
  /** Why nothing may be removed as asked, and what to do; `undefined`: all may. */
  readonly obstacle: string | undefined;
};

/** Our lines in one place of the cluster's DNS; `leftBecause`: they could not be taken out. */
export type UnwiredPlace = { readonly what: string; readonly leftBecause: string | undefined };

/** A namespace goes when its pods have drained, which may take their whole grace period. */
const deadlineMs = 120_000;

const core = { group: '', version: 'v1' };
const bindingsPath = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural: 'clusterrolebindings',
};

export async function planUninstall(
  connection: Connection,
  meshNamespace: string,
  withCrds: boolean,
): Promise<UninstallPlan> {
  const removals: Removal[] = [];
  const namespacePath = { ...core, plural: 'namespaces', name: meshNamespace };
  const namespace = await orNothing(connection.get(resourcePath(namespacePath)));
  if (namespace !== undefined) {
    removals.push({ what: `Namespace ${meshNamespace} with all in it`, path: namespacePath });
  }
  for (const { kind, path } of clusterKinds) {
    const objects = await readAll(connection, path, ourIdentity);
    for (const one of objects) {
      // What is in the mesh namespace goes with it.
      if (one === undefined || one.namespace === meshNamespace) continue;
      const inNamespace = one.namespace === '' ? '' : `${one.namespace}/`;
      removals.push({
        what: `${kind} ${inNamespace}${one.name}`,
        path: {
          ...path,
          name: one.name,
          ...(one.namespace === '' ? {} : { namespace: one.namespace }),
        },
      });
    }
  }
  const foreign: string[] = [];
  for (const { name, isOurs } of withCrds ? await readDefinitions(connection) : []) {
    const what = `CustomResourceDefinition ${name}`;
    if (!isOurs) foreign.push(what);
    else removals.push({ what: `${what} with all its objects`, path: { ...crdPath, name } });
  }
  const names = await readRequests(connection);
  const requests = names.length === 0 ? [] : [requestsText(names)];
  const obstacle = await obstacleOf(connection, meshNamespace);
  return { meshNamespace, removals, requests, foreign, obstacle };
}

/** Half a removal would be worse than none: cluster roles gone, and proxies without rights. */
async function obstacleOf(
  connection: Connection,
  meshNamespace: string,
): Promise<string | undefined> {
  const homes = await readAll(connection, bindingsPath, homeOf);
  const elsewhere = homes.find((home) => home !== undefined && home !== meshNamespace);
  if (elsewhere !== undefined) {
    return `the mesh is in namespace ${elsewhere}: give --mesh-namespace ${elsewhere}`;
  }
  const pods = await readAll(
    connection,
    { ...core, plural: 'pods', namespace: meshNamespace },
    (pod) => (ourIdentity(pod) === undefined ? nameOf(pod) : undefined),
  );
  const foreign = pods.filter((name) => name !== undefined);
  if (foreign.length === 0) return undefined;
  const some = foreign.slice(0, 3).join(', ');
  return (
    `namespace ${meshNamespace} also runs what is not ours (${some}) and would be removed with ` +
    'it: move that first, or use helm uninstall'
  );
}

/** Where a mesh is, by the binding of its controller. */
function homeOf(binding: unknown): string | undefined {
  if (ourIdentity(binding) === undefined || nameOf(binding) !== 'weft-controller') return undefined;
  return textAt(listAt(binding, 'subjects')[0], 'namespace');
}

export type UninstallRun = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly plan: UninstallPlan;
  /** Takes our lines out of the DNS of the cluster. */
  readonly unwireDns: () => Promise<readonly UnwiredPlace[]>;
  readonly onProgress: (line: string) => void;
};

/** Names what is still there at the end; empty when all is gone. */
export async function runUninstall(run: UninstallRun): Promise<readonly string[]> {
  const { connection, plan, onProgress } = run;
  const left: string[] = [];
  if (!(await stopController(run))) left.push('pods of Deployment weft-controller');
  for (const { what, leftBecause } of await run.unwireDns()) {
    if (leftBecause === undefined) {
      onProgress(`removed ${what}`);
      continue;
    }
    onProgress(`left ${what}: ${leftBecause}`);
    left.push(`${what} (take out what stands between weft:begin and weft:end)`);
  }
  // Cluster roles last: the namespace's own controllers do not need ours, but order costs nothing.
  for (const { what, path } of plan.removals) {
    await orNothing(connection.remove(resourcePath(path)));
    onProgress(`removed ${what}`);
  }
  for (const { what, path } of plan.removals) {
    if (!(await isGone(run, path))) left.push(what);
  }
  // After the proxies, which ask for certificates until they end.
  left.push(...(await removeRequests(run)));
  return left;
}

const removedAtOnce = 20;

/** What is still there at the end. */
async function removeRequests(run: UninstallRun): Promise<readonly string[]> {
  const { connection, onProgress } = run;
  const names = await readRequests(connection);
  for (let at = 0; at < names.length; at += removedAtOnce) {
    const some = names.slice(at, at + removedAtOnce).map(async (name) => {
      await orNothing(connection.remove(resourcePath({ ...requestPath, name })));
    });
    await Promise.all(some);
  }
  if (names.length > 0) onProgress(`removed ${requestsText(names)}`);
  const left = await readRequests(connection);
  return left.length === 0 ? [] : [requestsText(left)];
}

/** Its pods too: one that still runs would put back what we take out. False: one still does. */
async function stopController(run: UninstallRun): Promise<boolean> {
  const { connection, plan, onProgress } = run;
  const namespace = plan.meshNamespace;
  const deployment = { group: 'apps', version: 'v1', plural: 'deployments', namespace };
  const path = resourcePath({ ...deployment, name: 'weft-controller' });
  if ((await orNothing(connection.remove(path))) === undefined) return true;
  onProgress('removed Deployment weft-controller, waits for its pods to end');
  const pods = { ...core, plural: 'pods', namespace };
  const labelSelector = 'app.kubernetes.io/name=weft,app.kubernetes.io/component=controller';
  return poll(run.runtime, deadlineMs, async () => {
    return (await readAll(connection, pods, nameOf, { labelSelector })).length === 0;
  });
}

async function isGone(run: UninstallRun, path: ResourcePath): Promise<boolean> {
  return poll(run.runtime, deadlineMs, async () => {
    return (await orNothing(run.connection.get(resourcePath(path)))) === undefined;
  });
}
