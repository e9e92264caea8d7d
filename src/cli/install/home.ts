// What the mesh lives in: its Namespace, under Pod Security `restricted`, and the quota that lets
// critical pods into it where a provider wants one.
import type { InstallFacts } from './facts.ts';
import { manifest, remarked, type Manifest } from './manifest.ts';

const restricted = {
  'pod-security.kubernetes.io/enforce': 'restricted',
  'pod-security.kubernetes.io/audit': 'restricted',
  'pod-security.kubernetes.io/warn': 'restricted',
} as const;

export function meshNamespace({ origin }: InstallFacts): Manifest {
  const subject = { apiVersion: 'v1', kind: 'Namespace', name: origin.namespace };
  const one = manifest(origin, 'mesh', subject, {});
  return { ...one, metadata: { ...one.metadata, labels: { ...one.labels, ...restricted } } };
}

export function criticalPodsQuota({ origin }: InstallFacts): Manifest {
  const { namespace } = origin;
  const kind = 'ResourceQuota';
  const subject = { apiVersion: 'v1', kind, name: 'weft-critical-pods', namespace };
  const one = manifest(origin, 'mesh', subject, {
    spec: {
      // As the API server writes it back: 20000 would be a change each time it is applied.
      hard: { pods: '20k' },
      scopeSelector: {
        matchExpressions: [
          {
            scopeName: 'PriorityClass',
            operator: 'In',
            values: ['system-node-critical', 'system-cluster-critical'],
          },
        ],
      },
    },
  });
  const text = 'no limit in practice: GKE refuses critical pods where no quota speaks of them';
  return remarked(one, [{ path: ['spec', 'hard'], text }]);
}
