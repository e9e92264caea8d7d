// Namespace `mesh` with a pod `api` of a headless Service `shop`. With `ndots:5` a resolver asks
// for api.shop.mesh.svc.cluster.local first, and in Kubernetes that is this pod.
import { allRolledOut } from './cluster.ts';
import { apply, kubectl, type Json } from './kubectl.ts';
import { namespaceWithPrograms, server } from './objects.ts';

/** What the pod says it is. */
export const imitator = 'hijacker';

const trapService: Json = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'mesh', name: 'shop' },
  spec: { clusterIP: 'None', selector: { role: 'trap' }, ports: [{ port: 80, targetPort: 8080 }] },
};

const asHost = JSON.stringify({
  spec: { template: { spec: { hostname: 'api', subdomain: 'shop' } } },
});

export async function createImitation(): Promise<void> {
  await apply(namespaceWithPrograms('mesh'));
  await apply([
    server({ namespace: 'mesh', name: 'api', version: imitator, labels: { role: 'trap' } }),
    trapService,
  ]);
  await kubectl(['-n', 'mesh', 'patch', 'deployment/api', '--type=merge', '-p', asHost]);
  await allRolledOut('mesh');
}
