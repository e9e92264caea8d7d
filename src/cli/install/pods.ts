// What the pods of both processes have alike: hardening (Pod Security `restricted`), probes on the
// admin port, identity from the downward API. Nothing here needs root, a capability, the host's
// network or a writable file system.
import type { InstallFacts, PodFacts } from './facts.ts';
import { filled, type JsonMap } from './json.ts';
import { downwardEntry, labelsOf, selectorOf, withFields, type Remark } from './manifest.ts';

const adminPort = 15020;

export type PodPlan = {
  readonly component: 'proxy' | 'controller';
  readonly facts: PodFacts;
  /** Entries of the environment that come from the pod itself. */
  readonly downward: readonly (readonly [name: string, fieldPath: string])[];
  readonly ports: readonly JsonMap[];
  readonly readiness: JsonMap;
  /** Fields of the pod's spec besides those that all pods have. */
  readonly spec: JsonMap;
};

/** The pod template of a DaemonSet or Deployment. */
export function podTemplate(install: InstallFacts, plan: PodPlan): JsonMap {
  const { component, facts } = plan;
  const own = {
    ...selectorOf(component),
    'app.kubernetes.io/part-of': 'weft',
    'app.kubernetes.io/version': labelsOf(install.origin, component)[
      'app.kubernetes.io/version'
    ] ?? '',
  };
  return {
    metadata: {
      labels: withFields(own, facts.labels),
      ...filled('annotations', facts.annotations),
    },
    spec: {
      serviceAccountName: `weft-${component}`,
      automountServiceAccountToken: true,
      enableServiceLinks: false,
      priorityClassName: facts.priorityClassName,
      ...filled('imagePullSecrets', install.pullSecrets),
      ...filled('nodeSelector', facts.nodeSelector),
      ...filled('tolerations', facts.tolerations),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65532,
        runAsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      ...plan.spec,
      containers: [container(install, plan)],
    },
  };
}

function container(install: InstallFacts, plan: PodPlan): JsonMap {
  const { component, facts } = plan;
  return {
    name: component,
    image: install.image,
    imagePullPolicy: install.pullPolicy,
    args: [component],
    env: [...plan.downward.map(([name, path]) => downwardEntry(name, path)), ...facts.settings],
    ports: [{ name: 'admin', containerPort: adminPort, protocol: 'TCP' }, ...plan.ports],
    readinessProbe: { httpGet: { path: '/readyz', port: 'admin' }, ...plan.readiness },
    livenessProbe: {
      httpGet: { path: '/livez', port: 'admin' },
      initialDelaySeconds: 10,
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
    },
    ...filled('resources', facts.resources),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
}

/** Why the pods of both are as they are. */
export function podRemarks(resources: string): readonly Remark[] {
  const spec = ['spec', 'template', 'spec'];
  const main = [...spec, 'containers', 0];
  return [
    {
      path: [...spec, 'enableServiceLinks'],
      text: '3 000 Services would make 1 MB of environment',
    },
    {
      path: [...main, 'livenessProbe'],
      text:
        'half a minute without an answer: a restart cuts every connection, so it is for a ' +
        'process that is lost, not for a slow one',
    },
    { path: [...main, 'resources'], text: resources },
  ];
}
