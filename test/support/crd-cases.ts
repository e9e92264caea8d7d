// What the CRDs of smi/crds take, keep and refuse, as data: a suite runs it against a real API
// server and against the embedded one. Bodies are objects without apiVersion, kind and metadata.
// Texts of refusals are the real API server's.

export type CrdKind = {
  readonly kind: string;
  readonly group: string;
  readonly plural: string;
  readonly shortName: string;
  /** The last one is the storage version. */
  readonly versions: readonly string[];
};

const upToThree = ['v1alpha1', 'v1alpha2', 'v1alpha3'];
const upToFour = [...upToThree, 'v1alpha4'];

export const crdKinds = {
  target: {
    kind: 'TrafficTarget',
    group: 'access.smi-spec.io',
    plural: 'traffictargets',
    shortName: 'tt',
    versions: upToThree,
  },
  group: {
    kind: 'HTTPRouteGroup',
    group: 'specs.smi-spec.io',
    plural: 'httproutegroups',
    shortName: 'htr',
    versions: upToFour,
  },
  tcp: {
    kind: 'TCPRoute',
    group: 'specs.smi-spec.io',
    plural: 'tcproutes',
    shortName: 'tr',
    versions: upToFour,
  },
  udp: {
    kind: 'UDPRoute',
    group: 'specs.smi-spec.io',
    plural: 'udproutes',
    shortName: 'ur',
    versions: ['v1alpha4'],
  },
  split: {
    kind: 'TrafficSplit',
    group: 'split.smi-spec.io',
    plural: 'trafficsplits',
    shortName: 'ts',
    versions: upToFour,
  },
} as const satisfies Readonly<Record<string, CrdKind>>;

export type CrdKindName = keyof typeof crdKinds;

export type AcceptedCase = {
  readonly title: string;
  readonly of: CrdKindName;
  /** Written through this version … */
  readonly version: string;
  readonly body: object;
  /** … and kept like this, where it is not kept as it is. */
  readonly stored?: object;
};

export type RefusedCase = {
  readonly title: string;
  readonly of: CrdKindName;
  readonly version: string;
  readonly body: object;
  /** `field: message` of each cause, in any order; a text for refusals without causes. */
  readonly why: readonly string[] | string;
};

const web = { kind: 'ServiceAccount', name: 'web', namespace: 'default' };
const front = { kind: 'ServiceAccount', name: 'front', namespace: 'edge' };
const rule = { kind: 'HTTPRouteGroup', name: 'api', matches: ['read'] };

function splitOf(...weights: readonly unknown[]): object {
  const backends = weights.map((weight, index) => ({ service: `web-v${index}`, weight }));
  return { spec: { service: 'web', backends } };
}

const matches = [
  { name: 'read', pathRegex: '/api', methods: ['GET', '*'], headers: [{ 'user-agent': '.*' }] },
  { name: 'object', headers: { 'x-canary': 'yes', cookie: '' } },
  { name: 'odd', headers: { 'x-canary': true, nothing: null } },
  { name: 'all' },
];

export const acceptedCases: readonly AcceptedCase[] = [
  {
    title: 'R-44: v1alpha1 keeps its place and its port',
    of: 'target',
    version: 'v1alpha1',
    body: { destination: { ...web, port: 8080 }, sources: [front], specs: [rule] },
  },
  {
    title: 'R-6: v1alpha1 may leave the rules away',
    of: 'target',
    version: 'v1alpha1',
    body: { destination: web },
  },
  {
    title: 'R-6: v1alpha2 may leave the rules away, and an empty list stays one',
    of: 'target',
    version: 'v1alpha2',
    body: { spec: { destination: { ...web, port: '8080' }, sources: [] } },
  },
  {
    title: 'R-6: null for rules and port is kept: dropped it would allow everything',
    of: 'target',
    version: 'v1alpha2',
    body: { spec: { destination: { ...web, port: null }, sources: [front], rules: null } },
  },
  {
    title: 'R-6: an empty list of rules stays one',
    of: 'target',
    version: 'v1alpha3',
    body: { spec: { destination: web, sources: [front], rules: [] } },
  },
  {
    title: 'v1alpha3 with every kind of rule',
    of: 'target',
    version: 'v1alpha3',
    body: {
      spec: {
        destination: web,
        sources: [front, { kind: 'ServiceAccount', name: 'back' }],
        rules: [rule, { kind: 'TCPRoute', name: 't' }, { kind: 'UDPRoute', name: 'u' }],
      },
    },
  },
  {
    title: 'both shapes are kept for the mesh to judge',
    of: 'target',
    version: 'v1alpha3',
    body: {
      destination: web,
      specs: [],
      spec: { destination: web, sources: [front], rules: [rule] },
    },
  },
  {
    title: 'R-18: all forms of headers, in v1alpha1',
    of: 'group',
    version: 'v1alpha1',
    body: { matches },
  },
  {
    title: 'R-18: all forms of headers, in v1alpha4',
    of: 'group',
    version: 'v1alpha4',
    body: { spec: { matches } },
  },
  {
    title: 'R-19: matches on the root of v1alpha3',
    of: 'group',
    version: 'v1alpha3',
    body: { matches: [{ name: 'a' }] },
  },
  { title: 'R-28: no matches at all', of: 'group', version: 'v1alpha4', body: {} },
  {
    title: 'R-28: an empty list of matches stays one',
    of: 'group',
    version: 'v1alpha3',
    body: { spec: { matches: [] } },
  },
  {
    title: 'R-29: null conditions are kept: dropped they would match more',
    of: 'group',
    version: 'v1alpha4',
    body: { spec: { matches: [{ name: 'a', pathRegex: null, methods: null, headers: null }] } },
  },
  { title: 'a TCPRoute of v1alpha1 is metadata', of: 'tcp', version: 'v1alpha1', body: {} },
  { title: 'a TCPRoute of v1alpha3', of: 'tcp', version: 'v1alpha3', body: { spec: {} } },
  {
    title: 'a TCPRoute of v1alpha4',
    of: 'tcp',
    version: 'v1alpha4',
    body: { spec: { matches: { name: 'm', ports: [1, 65535] } } },
  },
  {
    title: 'a UDPRoute for all ports',
    of: 'udp',
    version: 'v1alpha4',
    body: { spec: { matches: { ports: [] } } },
  },
  {
    title: 'R-45: quantities, as Argo Rollouts writes them',
    of: 'split',
    version: 'v1alpha1',
    body: splitOf('5', '500m', '1e3', '0.5', '1Ki', 95),
  },
  {
    title: 'R-45: quantities in v1alpha4 too',
    of: 'split',
    version: 'v1alpha4',
    body: splitOf('1000m', 0, 100),
  },
  {
    title: 'whole numbers that are written with a point',
    of: 'split',
    version: 'v1alpha2',
    body: splitOf(2.0),
  },
  {
    title: 'matches in v1alpha2, empty and with an apiGroup',
    of: 'split',
    version: 'v1alpha2',
    body: {
      spec: {
        service: 'web.default.svc.cluster.local',
        backends: [],
        matches: [{ apiGroup: 'specs.smi-spec.io', kind: 'HTTPRouteGroup', name: 'api' }],
      },
    },
  },
  {
    title: 'an empty list of matches is not an absent one: Flagger compares',
    of: 'split',
    version: 'v1alpha3',
    body: { spec: { service: 'web', backends: [{ service: 'a', weight: 1 }], matches: [] } },
  },
  {
    title: 'v1alpha1 may leave backends and weights away',
    of: 'split',
    version: 'v1alpha1',
    body: { spec: { service: 'web', backends: [{ service: 'a' }] } },
  },
];

const atLeastOne = 'in body should be greater than or equal to';

export const refusedCases: readonly RefusedCase[] = [
  {
    title: 'R-6: v1alpha3 demands rules',
    of: 'target',
    version: 'v1alpha3',
    body: { spec: { destination: web, sources: [front] } },
    why: ['spec.rules: Required value'],
  },
  {
    title: 'v1alpha3 demands destination and sources',
    of: 'target',
    version: 'v1alpha3',
    body: { spec: { rules: [] } },
    why: ['spec.destination: Required value', 'spec.sources: Required value'],
  },
  {
    title: 'subjects have kind and name',
    of: 'target',
    version: 'v1alpha2',
    body: { spec: { destination: { kind: 'ServiceAccount' }, sources: [{ name: 'x' }] } },
    why: ['spec.destination.name: Required value', 'spec.sources[0].kind: Required value'],
  },
  {
    title: 'R-44: a port that is none',
    of: 'target',
    version: 'v1alpha1',
    body: { destination: { ...web, port: 0 } },
    why: [`destination.port: Invalid value: 0: destination.port ${atLeastOne} 1`],
  },
  {
    title: 'unknown kinds of rules',
    of: 'target',
    version: 'v1alpha2',
    body: { spec: { destination: web, rules: [{ kind: 'HTTPRoute', name: 'x' }] } },
    why: [
      'spec.rules[0].kind: Unsupported value: "HTTPRoute": supported values: ' +
        '"HTTPRouteGroup", "TCPRoute", "UDPRoute"',
    ],
  },
  {
    title: 'R-6: rules in the wrong place',
    of: 'target',
    version: 'v1alpha2',
    body: { rules: [], spec: { destination: web, specs: [rule] } },
    why:
      'TrafficTarget in version "v1alpha2" cannot be handled as a TrafficTarget: ' +
      'strict decoding error: unknown field "rules", unknown field "spec.specs"',
  },
  {
    title: 'a match without a name',
    of: 'group',
    version: 'v1alpha4',
    body: { spec: { matches: [{ pathRegex: '/' }] } },
    why: ['spec.matches[0].name: Required value'],
  },
  {
    title: 'R-27: methods in lower case',
    of: 'group',
    version: 'v1alpha2',
    body: { matches: [{ name: 'a', methods: ['get'] }] },
    why: [
      'matches[0].methods[0]: Unsupported value: "get": supported values: "*", "GET", "HEAD", ' +
        '"PUT", "POST", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"',
    ],
  },
  {
    title: 'a pattern that is no string',
    of: 'group',
    version: 'v1alpha4',
    body: { spec: { matches: [{ name: 'a', pathRegex: true }] } },
    why: [
      'spec.matches[0].pathRegex: Invalid value: "boolean": spec.matches[0].pathRegex in body ' +
        'must be of type string: "boolean"',
    ],
  },
  {
    title: 'a TCPRoute of v1alpha4 names its ports',
    of: 'tcp',
    version: 'v1alpha4',
    body: { spec: { matches: {} } },
    why: ['spec.matches.ports: Required value'],
  },
  {
    title: 'ports are numbers from 1 to 65535',
    of: 'udp',
    version: 'v1alpha4',
    body: { spec: { matches: { ports: [0, 65536, 'dns'] } } },
    why: [
      `spec.matches.ports[0]: Invalid value: 0: spec.matches.ports[0] ${atLeastOne} 1`,
      'spec.matches.ports[1]: Invalid value: 65536: spec.matches.ports[1] in body should be less ' +
        'than or equal to 65535',
      'spec.matches.ports[2]: Invalid value: "string": spec.matches.ports[2] in body must be of ' +
        'type integer: "string"',
    ],
  },
  {
    title: 'R-38: negative weights, as number and as text',
    of: 'split',
    version: 'v1alpha4',
    body: splitOf(-1, '-5'),
    why: [
      `spec.backends[0].weight: Invalid value: -1: spec.backends[0].weight ${atLeastOne} 0`,
      'spec.backends[1].weight: Invalid value: "-5": spec.backends[1].weight in body should ' +
        'match ' +
        String.raw`'^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)` +
        String.raw`([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$'`,
    ],
  },
  {
    title: 'R-38: a fraction and a truth value',
    of: 'split',
    version: 'v1alpha1',
    body: splitOf(0.5, true),
    why: [
      'spec.backends[0].weight: Invalid value: "number": spec.backends[0].weight in body must be ' +
        'of type integer,string: "number"',
      'spec.backends[1].weight: Invalid value: "boolean": spec.backends[1].weight in body must ' +
        'be of type integer,string: "boolean"',
    ],
  },
  {
    title: 'v1alpha2 demands backends, services and weights',
    of: 'split',
    version: 'v1alpha2',
    body: { spec: { service: 'web', backends: [{ weight: 1 }, { service: 'a' }] } },
    why: ['spec.backends[0].service: Required value', 'spec.backends[1].weight: Required value'],
  },
  {
    title: 'a split without its spec',
    of: 'split',
    version: 'v1alpha3',
    body: {},
    why: ['spec: Required value'],
  },
  {
    title: 'unknown fields, by Strict validation',
    of: 'split',
    version: 'v1alpha4',
    body: {
      spec: { service: 'web', backends: [{ service: 'a', weight: 1, wieght: 2 }], foo: {} },
    },
    why:
      'TrafficSplit in version "v1alpha4" cannot be handled as a TrafficSplit: strict decoding ' +
      'error: unknown field "spec.backends[0].wieght", unknown field "spec.foo"',
  },
];
