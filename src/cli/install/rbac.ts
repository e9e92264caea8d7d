// Who may do what: one ServiceAccount for the proxies, one for the controller, and only the rules
// that this version uses, each with its reason. Proxies write requests for certificates and nothing
// else.
import type { InstallFacts } from './facts.ts';
import type { Json, JsonMap } from './json.ts';
import { manifest, remarked, type Component, type Manifest, type Subject } from './manifest.ts';

export type Rule = {
  /** Becomes a comment beside the rule. */
  readonly reason: string;
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
};

const see: readonly string[] = ['list', 'watch'];

/** What a mesh is compiled from: the same for whoever compiles it. */
const compiledFrom: readonly Rule[] = [
  {
    reason: 'Services are the destinations, Namespaces their defaults and policy',
    apiGroups: [''],
    resources: ['services', 'namespaces'],
    verbs: see,
  },
  {
    reason: 'a source address is known as a pod; addresses of nodes are nobody',
    apiGroups: [''],
    resources: ['pods', 'nodes'],
    verbs: see,
  },
  {
    reason: 'where the pods of a Service are, and whether they are ready',
    apiGroups: ['discovery.k8s.io'],
    resources: ['endpointslices'],
    verbs: see,
  },
  {
    reason: 'who may call whom',
    apiGroups: ['access.smi-spec.io'],
    resources: ['traffictargets'],
    verbs: see,
  },
  {
    reason: 'which routes there are',
    apiGroups: ['specs.smi-spec.io'],
    resources: ['httproutegroups', 'tcproutes', 'udproutes'],
    verbs: see,
  },
  {
    reason: 'which share of the traffic goes where',
    apiGroups: ['split.smi-spec.io'],
    resources: ['trafficsplits'],
    verbs: see,
  },
];

/** Of the proxy, everywhere. */
const proxyEverywhere: readonly Rule[] = [
  ...compiledFrom,
  {
    reason:
      'a certificate for each identity that has a pod on its node; the API server stamps who ' +
      'asks, and the controller believes that stamp alone',
    apiGroups: ['certificates.k8s.io'],
    resources: ['certificatesigningrequests'],
    verbs: ['create', 'get', 'list', 'watch'],
  },
];

/** Of the proxy, in the namespace of the mesh. */
const proxyAtHome: readonly Rule[] = [
  {
    reason: 'the roots whose certificates it believes',
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['weft-trust'],
    verbs: ['get', 'list', 'watch'],
  },
];

/** Of the controller, everywhere. */
const controllerEverywhere: readonly Rule[] = [
  ...compiledFrom,
  {
    reason: 'conditions tell on the object itself what became of it; the object is not touched',
    apiGroups: ['access.smi-spec.io'],
    resources: ['traffictargets/status'],
    verbs: ['patch'],
  },
  {
    reason: 'as above',
    apiGroups: ['specs.smi-spec.io'],
    resources: ['httproutegroups/status', 'tcproutes/status', 'udproutes/status'],
    verbs: ['patch'],
  },
  {
    reason: 'as above',
    apiGroups: ['split.smi-spec.io'],
    resources: ['trafficsplits/status'],
    verbs: ['patch'],
  },
  {
    reason:
      'Events tell the same where there are no conditions. They are read, too, so that a new ' +
      'leader counts on instead of repeating',
    apiGroups: [''],
    resources: ['events'],
    verbs: ['create', 'patch', 'list'],
  },
  {
    reason: 'an Event names the uid of what it is about',
    apiGroups: [''],
    resources: ['services', 'namespaces', 'pods', 'nodes'],
    verbs: ['get'],
  },
  {
    reason: 'as above',
    apiGroups: ['discovery.k8s.io'],
    resources: ['endpointslices'],
    verbs: ['get'],
  },
  {
    reason:
      'proxies ask for certificates so; answered ones are cleared away. The verb knows no ' +
      'signer: that it deletes its own alone is in the code',
    apiGroups: ['certificates.k8s.io'],
    resources: ['certificatesigningrequests'],
    verbs: ['get', 'list', 'watch', 'delete'],
  },
  {
    reason: 'the verdict on a request, and the certificate',
    apiGroups: ['certificates.k8s.io'],
    resources: ['certificatesigningrequests/approval', 'certificatesigningrequests/status'],
    verbs: ['update'],
  },
  {
    reason: 'for this signer and no other',
    apiGroups: ['certificates.k8s.io'],
    resources: ['signers'],
    resourceNames: ['weft.dev/workload'],
    verbs: ['approve', 'sign'],
  },
  {
    reason: 'tells OpenShift, whose DNS takes no edits; its namespace is not there elsewhere',
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['dns-default'],
    verbs: ['get'],
  },
];

/** Of the controller, in the namespace of the mesh. */
const controllerAtHome: readonly Rule[] = [
  {
    reason: 'the mesh Services: weft-http, weft-dns, weft-peers, and weft-l4-0, -1, … as needed',
    apiGroups: [''],
    resources: ['services'],
    verbs: ['create', 'patch', 'delete'],
  },
  {
    reason: 'addresses of the mesh Services, kept while clients may still have them cached',
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['weft-addresses'],
    verbs: ['get', 'list', 'watch', 'create', 'patch'],
  },
  {
    reason: 'the signing key of the mesh, made once; what is created by POST has no name yet',
    apiGroups: [''],
    resources: ['secrets'],
    verbs: ['create'],
  },
  {
    reason: 'as above; of all Secrets it reads this one',
    apiGroups: [''],
    resources: ['secrets'],
    resourceNames: ['weft-ca'],
    verbs: ['get', 'list', 'watch', 'update'],
  },
  {
    reason: 'the roots that proxies trust; created by POST, too',
    apiGroups: [''],
    resources: ['configmaps'],
    verbs: ['create'],
  },
  {
    reason: 'as above',
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['weft-trust'],
    verbs: ['get', 'list', 'watch', 'update'],
  },
  {
    reason: 'nodes that can have no proxy are told as an Event on the DaemonSet',
    apiGroups: ['apps'],
    resources: ['daemonsets'],
    resourceNames: ['weft-proxy'],
    verbs: ['get'],
  },
  {
    reason: 'leader election; what is created by POST has no name for the authoriser yet',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['create'],
  },
  {
    reason: 'leader election',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: ['weft-controller'],
    verbs: ['get', 'update'],
  },
];

const dnsNames: readonly string[] = ['coredns', 'rke2-coredns-rke2-coredns', 'kube-dns'];

/** Of the controller, in kube-system. */
const controllerDns: readonly Rule[] = [
  {
    reason: 'one marked block in the configuration of the cluster’s DNS points mesh names here',
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: [...dnsNames, 'coredns-custom', 'node-local-dns'],
    verbs: ['get', 'patch'],
  },
  {
    reason: 'kube-dns has no ConfigMap until somebody makes one',
    apiGroups: [''],
    resources: ['configmaps'],
    verbs: ['create'],
  },
  {
    reason: 'tells which DNS is in use',
    apiGroups: ['apps'],
    resources: ['deployments'],
    resourceNames: dnsNames,
    verbs: ['get'],
  },
];

const rbac = 'rbac.authorization.k8s.io/v1';
const dnsNamespace = 'kube-system';

export function serviceAccounts({ origin }: InstallFacts): readonly Manifest[] {
  const { namespace } = origin;
  return (['proxy', 'controller'] as const).map((component) => {
    const subject = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      name: `weft-${component}`,
      namespace,
    };
    // Each pod says for itself that it wants the token: no other pod here gets one by accident.
    return manifest(origin, component, subject, { automountServiceAccountToken: false });
  });
}

export function accessRules(facts: InstallFacts): readonly Manifest[] {
  const { namespace } = facts.origin;
  return [
    ...grant(facts, 'proxy', { name: 'weft-proxy', rules: proxyEverywhere }),
    ...grant(facts, 'proxy', { name: 'weft-proxy', rules: proxyAtHome, namespace }),
    ...grant(facts, 'controller', { name: 'weft-controller', rules: controllerEverywhere }),
    ...grant(facts, 'controller', { name: 'weft-controller', rules: controllerAtHome, namespace }),
    ...grant(facts, 'controller', {
      name: 'weft-controller-dns',
      rules: controllerDns,
      namespace: dnsNamespace,
    }),
  ];
}

type Grant = {
  readonly name: string;
  readonly rules: readonly Rule[];
  /** Absent: in every namespace. */
  readonly namespace?: string;
};

/** A role and its binding to the ServiceAccount of the component. */
function grant(
  { origin }: InstallFacts,
  component: Component,
  { name, rules, namespace }: Grant,
): readonly Manifest[] {
  const prefix = namespace === undefined ? 'Cluster' : '';
  const where = namespace === undefined ? {} : { namespace };
  const role: Subject = { apiVersion: rbac, kind: `${prefix}Role`, name, ...where };
  const binding: Subject = { apiVersion: rbac, kind: `${prefix}RoleBinding`, name, ...where };
  const account = { kind: 'ServiceAccount', name: `weft-${component}` };
  return [
    remarked(
      manifest(origin, component, role, { rules: rules.map(ruleBody) }),
      rules.map(({ reason }, index) => ({ path: ['rules', index], text: reason })),
    ),
    manifest(origin, component, binding, {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: role.kind, name },
      subjects: [{ ...account, namespace: origin.namespace }],
    }),
  ];
}

function ruleBody({ apiGroups, resources, resourceNames, verbs }: Rule): JsonMap {
  const names: { readonly [name: string]: Json } =
    resourceNames === undefined ? {} : { resourceNames };
  return { apiGroups, resources, ...names, verbs };
}
