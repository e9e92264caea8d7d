// ValidatingAdmissionPolicy `weft-pods` and its binding: no mirror pods in the mesh namespace. A
// kubelet may create mirror pods in any namespace, with any labels; with those of the proxies one
// would be an endpoint of the mesh's Services within a second, so that root on a single node would
// answer for the mesh (docs/design/0007). No pod of ours is a static one.
import type { InstallFacts } from './facts.ts';
import type { Manifest } from './manifest.ts';
import { policyPair } from './policy-pair.ts';

const name = 'weft-pods';
const annotations = 'object.metadata.annotations';
const mark = 'kubernetes.io/config.mirror';
const isNoMirrorPod = `!has(${annotations}) || !("${mark}" in ${annotations})`;

export function mirrorPodPolicy(facts: InstallFacts): readonly Manifest[] {
  const { origin } = facts;
  const { policy, binding } = policyPair(facts, name, {
    failurePolicy: 'Fail',
    matchConstraints: {
      matchPolicy: 'Equivalent',
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': origin.namespace } },
      objectSelector: {},
      resourceRules: [
        {
          apiGroups: [''],
          apiVersions: ['*'],
          operations: ['CREATE'],
          resources: ['pods'],
          scope: 'Namespaced',
        },
      ],
    },
    validations: [
      {
        expression: isNoMirrorPod,
        message: 'no static pods in the namespace of the mesh: a node could pose as its proxies',
        reason: 'Forbidden',
      },
    ],
  });
  return [policy, binding];
}
