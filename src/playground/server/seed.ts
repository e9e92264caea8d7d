// What a cluster has before anybody creates anything: four namespaces with their default service
// accounts, and the Service of the API server itself.
import type { ApiContext, WriteOptions } from './context.ts';
import { adminUser } from './auth.ts';
import type { JsonObject } from './json.ts';
import { insertObject } from './write.ts';

const options: WriteOptions = {
  user: adminUser,
  isDryRun: false,
  fieldOwner: 'kube-apiserver',
  fieldValidation: 'Ignore',
  isForced: false,
};

function seed(api: ApiContext, plural: string, namespace: string, object: JsonObject): void {
  const kind = api.registry.find('', 'v1', plural);
  if (kind === undefined) return;
  insertObject(api, { kind, namespace, name: '', subresource: '' }, object, options);
}

/** Writes them as the API server itself would; called once, on an empty store. */
export function seedObjects(api: ApiContext): void {
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    seed(api, 'namespaces', '', { metadata: { name } });
  }
  seed(api, 'services', 'default', {
    metadata: {
      name: 'kubernetes',
      labels: { component: 'apiserver', provider: 'kubernetes' },
    },
    spec: {
      clusterIP: '10.96.0.1',
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: 6443 }],
    },
  });
}
