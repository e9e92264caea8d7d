// ValidatingAdmissionPolicy `weft-settings` and its binding: CEL that the API server itself
// evaluates, no webhook. It refuses misspelt settings and contradictory SMI objects when they are
// applied. Where it fails itself, nothing is refused: the mesh tells the same by conditions.
import type { InstallFacts } from './facts.ts';
import type { JsonMap } from './json.ts';
import { remarked, type Manifest } from './manifest.ts';
import { policyPair } from './policy-pair.ts';
import { settingRules, settingVariables, type AdmissionRule } from './setting-rules.ts';
import { smiRules, smiVariables } from './smi-rules.ts';

const name = 'weft-settings';

/** Most Services and Namespaces say nothing about the mesh: they cost one look. */
const speaksOfUs =
  'request.kind.group != "" || ' +
  'object.metadata.?annotations.orValue({}).exists(key, key.startsWith("weft.dev/")) || ' +
  'object.metadata.?labels.orValue({}).exists(key, key.startsWith("weft.dev/"))';

type Names = readonly string[];

function watched(group: string, versions: Names, resources: Names): JsonMap {
  return {
    apiGroups: [group],
    apiVersions: versions,
    operations: ['CREATE', 'UPDATE'],
    resources,
    scope: '*',
  };
}

export function admissionPolicy(facts: InstallFacts): readonly Manifest[] {
  const { origin } = facts;
  const { policy, binding } = policyPair(facts, name, {
    failurePolicy: 'Ignore',
    matchConstraints: {
      matchPolicy: 'Equivalent',
      namespaceSelector: {
        matchExpressions: [
          {
            key: 'kubernetes.io/metadata.name',
            operator: 'NotIn',
            values: ['kube-system', origin.namespace],
          },
        ],
      },
      objectSelector: {},
      resourceRules: [
        watched('', ['v1'], ['services', 'namespaces']),
        watched('access.smi-spec.io', ['*'], ['traffictargets']),
        watched('specs.smi-spec.io', ['*'], ['httproutegroups']),
        watched('split.smi-spec.io', ['*'], ['trafficsplits']),
      ],
    },
    matchConditions: [{ name: 'speaks-of-the-mesh', expression: speaksOfUs }],
    variables: [...settingVariables, ...smiVariables],
    validations: [...settingRules(), ...smiRules()].map(validation),
  });
  return [
    remarked(policy, [
      {
        path: ['spec', 'failurePolicy'],
        text: 'nobody’s Service waits for a rule of ours that fails',
      },
      {
        path: ['spec', 'validations'],
        text: 'generated from the table of annotations, in which the mesh itself looks them up',
      },
    ]),
    binding,
  ];
}

function validation({ expression, message, detail }: AdmissionRule): JsonMap {
  const how: JsonMap = detail === undefined ? {} : { messageExpression: detail };
  return { expression, message, ...how, reason: 'Invalid' };
}
