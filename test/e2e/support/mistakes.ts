// Objects as users get them wrong, and what they are told. The last object of each is the wrong
// one; those before it make it wrong.
import type { Json } from './kubectl.ts';

export const namespace = 'wrong';

export type Mistake = {
  readonly what: string;
  readonly objects: readonly Json[];
  /** In the refusal, in a condition (`Type=Status Reason: message`) or in an Event. */
  readonly says: RegExp;
};

function split(name: string, spec: Json): Json {
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { namespace, name },
    spec,
  };
}

function group(name: string, matches: readonly Json[]): Json {
  return {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'HTTPRouteGroup',
    metadata: { namespace, name },
    spec: { matches },
  };
}

function target(name: string, spec: Json): Json {
  return {
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { namespace, name },
    spec: {
      destination: { kind: 'ServiceAccount', name: 'default', namespace },
      sources: [{ kind: 'ServiceAccount', name: 'caller', namespace: 'web' }],
      rules: [{ kind: 'HTTPRouteGroup', name: 'good', matches: ['read'] }],
      ...spec,
    },
  };
}

const good = group('good', [{ name: 'read', pathRegex: '/.*', methods: ['GET'] }]);

function annotated(name: string, annotations: Readonly<Record<string, string>>): Json {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name, annotations },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  };
}

const both = [
  { service: 'web', weight: 50 },
  { service: 'web-v1', weight: 50 },
];

export const mistakes: readonly Mistake[] = [
  {
    what: 'a split of a Service that does not exist',
    objects: [split('nobody', { service: 'nobody', backends: both })],
    says: /UnresolvedService/,
  },
  {
    what: 'a backend that does not exist',
    objects: [
      split('missing', { service: 'web', backends: [{ service: 'web-v9', weight: 1 }, ...both] }),
    ],
    says: /BackendMissing.*web-v9/,
  },
  {
    what: 'a backend without the port of the root',
    objects: [
      split('ports', { service: 'web', backends: [...both, { service: 'web-other', weight: 1 }] }),
    ],
    says: /BackendPortMissing.*web-other/,
  },
  {
    what: 'weights that are all zero',
    objects: [split('zero', { service: 'web', backends: [{ service: 'web-v1', weight: 0 }] })],
    says: /NoBackendWeight: .*give one backend a weight/,
  },
  {
    what: 'a negative weight',
    objects: [split('minus', { service: 'web', backends: [{ service: 'web-v1', weight: -1 }] })],
    says: /spec.backends\[0\].weight.*greater than or equal to 0/,
  },
  {
    what: 'no backends',
    objects: [split('none', { service: 'web', backends: [] })],
    says: /spec.backends is empty.*name a backend/,
  },
  {
    what: 'two splits of one Service',
    objects: [
      split('first', { service: 'web', backends: both }),
      split('second', { service: 'web', backends: both }),
    ],
    says: /Accepted=False Conflict: .*first/,
  },
  {
    what: 'a split that matches routes of a group that does not exist',
    objects: [
      split('unmatched', {
        service: 'web',
        backends: both,
        matches: [{ kind: 'HTTPRouteGroup', name: 'nowhere' }],
      }),
    ],
    says: /UnresolvedRoute.*nowhere/,
  },
  {
    what: 'a split whose Service is in another namespace',
    objects: [split('foreign', { service: 'api.shop', backends: both })],
    says: /Accepted=False HostAliasRefused: .*name a Service of namespace wrong/,
  },
  {
    what: 'a misspelt field',
    objects: [split('typo', { service: 'web', backend: both, backends: both })],
    says: /unknown field "spec.backend"/,
  },
  {
    what: 'a route whose pattern is no regular expression',
    objects: [group('pattern', [{ name: 'read', pathRegex: '/items/(', methods: ['GET'] }])],
    says: /InvalidPattern/,
  },
  {
    what: 'a pattern that looks behind',
    objects: [group('behind', [{ name: 'read', pathRegex: '(?<=a)b', methods: ['GET'] }])],
    says: /InvalidPattern/,
  },
  {
    what: 'two matches of one name',
    objects: [
      group('double', [
        { name: 'read', pathRegex: '/a', methods: ['GET'] },
        { name: 'read', pathRegex: '/b', methods: ['GET'] },
      ]),
    ],
    says: /two matches have the same name: rename one/,
  },
  {
    what: 'a method that does not exist',
    objects: [group('method', [{ name: 'read', pathRegex: '/a', methods: ['FETCH'] }])],
    says: /methods.*Unsupported value: "FETCH"/,
  },
  {
    what: 'a permission that names a group that does not exist',
    objects: [target('lost', { rules: [{ kind: 'HTTPRouteGroup', name: 'nowhere' }] })],
    says: /ResolvedRefs=False UnresolvedRoute: .*nowhere/,
  },
  {
    what: 'a permission that names a match that does not exist',
    objects: [
      good,
      target('match', { rules: [{ kind: 'HTTPRouteGroup', name: 'good', matches: ['write'] }] }),
    ],
    says: /UnresolvedRoute.*write/,
  },
  {
    what: 'a permission for pods of another namespace',
    objects: [
      good,
      target('abroad', {
        destination: { kind: 'ServiceAccount', name: 'api-v1', namespace: 'shop' },
      }),
    ],
    says: /opens its own namespace only, create it in shop/,
  },
  {
    what: 'a permission without rules',
    objects: [target('ruleless', { rules: [] })],
    says: /list of rules is empty.*add a rule/,
  },
  {
    what: 'a permission for a port of the Service instead of the pods',
    objects: [
      good,
      target('port', {
        destination: { kind: 'ServiceAccount', name: 'default', namespace, port: 80 },
      }),
    ],
    says: /ServicePortNamed.*80/,
  },
  {
    what: 'a setting that does not exist',
    objects: [annotated('web-v1', { 'weft.dev/retry-atempts': '3' })],
    says: /weft.dev\/retry-atempts is not known: check its spelling/,
  },
  {
    what: 'a setting with a value that it does not take',
    objects: [annotated('web-v1', { 'weft.dev/timeout': 'soon' })],
    says: /weft.dev\/timeout is "soon": write a duration/,
  },
];
