// ValidatingAdmissionPolicy `weft-requests` and its binding: only our proxies may ask signer
// `weft.dev/workload`, and they may ask no other. The controller would deny the first anyway; the
// second keeps a stolen token of a proxy from asking the cluster's own signers. It matches these
// requests alone, so that it may fail closed.
import { workloadSigner } from '../../identity/control.ts';
import { proxyServiceAccount } from '../../identity/index.ts';
import type { InstallFacts } from './facts.ts';
import { remarked, type Manifest } from './manifest.ts';
import { policyPair } from './policy-pair.ts';

const name = 'weft-requests';

const isOurs = `object.spec.signerName == "${workloadSigner}"`;
// A match condition knows no variables: the name is compared in full by the validations.
const mayBeProxy = `request.userInfo.username.endsWith(":${proxyServiceAccount}")`;

const variables = [
  { name: 'isOurs', expression: isOurs },
  {
    name: 'isProxy',
    expression:
      'request.userInfo.username == "system:serviceaccount:" + variables.home + ' +
      `":${proxyServiceAccount}"`,
  },
];

/** Ours have 700 bytes, two annotations and three labels; the API server would take a megabyte. */
const isSmall = [
  'size(object.spec.request) <= 8192',
  'size(object.metadata.?labels.orValue({})) <= 16',
  'size(object.metadata.?annotations.orValue({})) <= 16',
  'object.metadata.?annotations.orValue({}).all(one, ' +
    'size(object.metadata.annotations[one]) <= 1024)',
  // It could not be cleared away.
  'size(object.metadata.?finalizers.orValue([])) == 0',
].join(' && ');

const validations = [
  {
    expression: '!variables.isOurs || variables.isProxy',
    message:
      `signer ${workloadSigner} is asked by ServiceAccount ${proxyServiceAccount} ` +
      'of the mesh alone',
    reason: 'Forbidden',
  },
  {
    expression: '!variables.isProxy || variables.isOurs',
    message: `ServiceAccount ${proxyServiceAccount} asks signer ${workloadSigner} and no other`,
    reason: 'Forbidden',
  },
  {
    expression: `!variables.isOurs || (${isSmall})`,
    message: `a request of ${workloadSigner} has 8 KiB, 16 short annotations, and no finalizer`,
    reason: 'RequestEntityTooLarge',
  },
];

export function requestPolicy(facts: InstallFacts): readonly Manifest[] {
  const { origin } = facts;
  const { policy, binding } = policyPair(facts, name, {
    failurePolicy: 'Fail',
    matchConstraints: {
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      resourceRules: [
        {
          apiGroups: ['certificates.k8s.io'],
          apiVersions: ['*'],
          operations: ['CREATE'],
          resources: ['certificatesigningrequests'],
          scope: '*',
        },
      ],
    },
    matchConditions: [{ name: 'ours', expression: `${isOurs} || ${mayBeProxy}` }],
    // Quoted: a text in the language of the rules.
    variables: [{ name: 'home', expression: `"${origin.namespace}"` }, ...variables],
    validations,
  });
  return [
    remarked(policy, [
      {
        path: ['spec', 'failurePolicy'],
        text: 'it matches requests of our signer and of our proxies, and nothing else waits for it',
      },
    ]),
    binding,
  ];
}
