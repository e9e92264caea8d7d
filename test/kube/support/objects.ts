// Objects as a user would write them, with only what the tests of this folder need.
// They are data: whether a server accepts them is for the server to say.

export function serviceManifest(name: string, port: number): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { ports: [{ name: 'http', port }], selector: { app: name } },
  };
}

/** A TrafficSplit as any version of SMI has it. */
export function splitManifest(version: string, name: string): unknown {
  return {
    apiVersion: `split.smi-spec.io/${version}`,
    kind: 'TrafficSplit',
    metadata: { name, namespace: 'default' },
    spec: { service: name, backends: [{ service: `${name}-v1`, weight: 1 }] },
  };
}

/** A definition of TrafficSplit that accepts anything, in these versions; the first is stored. */
export function splitDefinition(versions: readonly string[]): unknown {
  const schema = {
    openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'trafficsplits.split.smi-spec.io' },
    spec: {
      group: 'split.smi-spec.io',
      scope: 'Namespaced',
      names: { kind: 'TrafficSplit', plural: 'trafficsplits', singular: 'trafficsplit' },
      versions: versions.map((name, at) => ({ name, served: true, storage: at === 0, schema })),
    },
  };
}

/** A pod of ordinary size: about 3 kB as the API server returns it. */
export function podManifest(name: string, node: string): unknown {
  const probe = { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 10 };
  const env = Array.from({ length: 12 }, (_, at) => ({
    name: `SETTING_${at}`,
    value: `value of the setting number ${at} of this container`,
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: 'web', 'pod-template-hash': '7d9f' } },
    spec: {
      nodeName: node,
      containers: [
        { name: 'web', image: 'registry.local/web:1', env, readinessProbe: probe },
        { name: 'log', image: 'registry.local/log:1', env },
      ],
    },
  };
}
