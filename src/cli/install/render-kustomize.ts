// The kustomize base – one file for each group of manifests – and an overlay that shows how the
// usual things are changed. `kubectl apply -k` takes both as they are.
import type { ManifestGroup } from './install-objects.ts';
import { renderDocument, renderYaml } from './render-yaml.ts';

/** Path below manifests/kustomize → text. */
export function kustomizeFiles(
  groups: readonly ManifestGroup[],
  image: string,
): ReadonlyMap<string, string> {
  const head = '# Generated: npm run manifests.\n';
  const files = new Map<string, string>();
  for (const { name, manifests } of groups) {
    files.set(`base/${name}.yaml`, head + renderYaml(manifests));
  }
  const base = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: groups.map(({ name }) => `${name}.yaml`),
  };
  files.set('base/kustomization.yaml', head + renderDocument(base, []));
  files.set('example/kustomization.yaml', head + exampleOverlay(image));
  return files;
}

const surge = `- op: replace
  path: /spec/updateStrategy/rollingUpdate/maxSurge
  value: 25%
`;

function exampleOverlay(image: string): string {
  const overlay = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: ['../base'],
    images: [{ name: image, newName: `registry.example.com/mesh/${image}` }],
    patches: [
      { target: { kind: 'DaemonSet', name: 'weft-proxy' }, patch: surge },
      { target: { kind: 'DaemonSet', name: 'weft-proxy' }, patch: domains('proxy') },
      { target: { kind: 'Deployment', name: 'weft-controller' }, patch: domains('controller') },
    ],
  };
  return renderDocument(overlay, [
    { path: ['images'], text: 'your registry' },
    { path: ['patches'], text: 'more nodes at once; a second mesh domain for both' },
  ]);
}

/** A strategic merge: environment entries are merged by name. */
function domains(component: 'proxy' | 'controller'): string {
  const kind = component === 'proxy' ? 'DaemonSet' : 'Deployment';
  return `apiVersion: apps/v1
kind: ${kind}
metadata: {name: weft-${component}}
spec:
  template:
    spec:
      containers:
        - name: ${component}
          env: [{name: WEFT_MESH_DOMAIN, value: "mesh,traefik.mesh"}]
`;
}
