// The users' side of the suite: namespace `shop` with an API in two versions, and `web` with a
// caller on every node. It is there before the mesh and stays as it is, whatever the mesh does.
import { allRolledOut, nodeNames } from './cluster.ts';
import { apply } from './kubectl.ts';
import { client, namespaceWithPrograms, server, service, serviceAccount } from './objects.ts';
import type { From } from './calls.ts';

export const apiUrl = 'http://api.shop.mesh/';

export function callerOn(node: string): From {
  return { namespace: 'web', client: `caller-${node}` };
}

export async function callers(): Promise<readonly From[]> {
  return (await nodeNames()).map(callerOn);
}

export async function createShop(): Promise<void> {
  const nodes = await nodeNames();
  await apply([...namespaceWithPrograms('shop'), ...namespaceWithPrograms('web')]);
  await apply([
    ...['api-v1', 'api-v2'].flatMap((name) => [
      serviceAccount('shop', name),
      server({
        namespace: 'shop',
        name,
        replicas: 2,
        serviceAccount: name,
        labels: { part: 'api' },
      }),
      service('shop', name, { app: name }),
    ]),
    service('shop', 'api', { part: 'api' }),
    serviceAccount('web', 'caller'),
    ...nodes.map((node) =>
      client({
        namespace: 'web',
        name: callerOn(node).client,
        nodeName: node,
        serviceAccount: 'caller',
      }),
    ),
  ]);
  await Promise.all([allRolledOut('shop'), allRolledOut('web')]);
}
