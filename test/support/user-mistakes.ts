// Malformed and contradictory SMI objects as users write them, and where each user reads what to
// do: in a condition of the object, or in the words with which the API server refuses it. Data for
// suites on any API server; all of it lives in namespace `mistakes`, beside `mistakeServices`.

export type MistakeObject = {
  readonly apiVersion: string;
  readonly kind: 'TrafficSplit' | 'TrafficTarget' | 'HTTPRouteGroup' | 'TCPRoute';
  readonly name: string;
  /** Everything but `apiVersion`, `kind` and `metadata`. */
  readonly body: Readonly<Record<string, unknown>>;
};

export type Mistake = {
  readonly title: string;
  /** What is right and has to be there first. */
  readonly before?: readonly MistakeObject[];
  readonly object: MistakeObject;
  readonly told:
    | {
        readonly condition: 'Accepted' | 'ResolvedRefs';
        readonly status: 'True' | 'False';
        readonly reason: string;
        /** What the message tells the user to do. */
        readonly fix: RegExp;
      }
    | { readonly refused: RegExp };
};

/** Name → ports of the Services that the mistakes are about. */
export const mistakeServices: ReadonlyMap<string, readonly number[]> = new Map([
  ['web', [80, 8080]],
  ['web-v1', [80, 8080]],
  ['web-v2', [80]],
]);

const splits = 'split.smi-spec.io/v1alpha4';
const specs = 'specs.smi-spec.io/v1alpha4';
const access = 'access.smi-spec.io/v1alpha3';
const account = (name: string) => ({ kind: 'ServiceAccount', name, namespace: 'mistakes' });

function split(name: string, spec: Readonly<Record<string, unknown>>): MistakeObject {
  return { apiVersion: splits, kind: 'TrafficSplit', name, body: { spec } };
}

const backends = [{ service: 'web-v1', weight: 1 }];

function target(name: string, spec: Readonly<Record<string, unknown>>): MistakeObject {
  const whole = {
    destination: account('web'),
    sources: [account('front')],
    rules: [{ kind: 'TCPRoute', name: 'all' }],
    ...spec,
  };
  return { apiVersion: access, kind: 'TrafficTarget', name, body: { spec: whole } };
}

function group(name: string, matches: readonly unknown[]): MistakeObject {
  return { apiVersion: specs, kind: 'HTTPRouteGroup', name, body: { spec: { matches } } };
}

const everyPort: MistakeObject = {
  apiVersion: specs,
  kind: 'TCPRoute',
  name: 'all',
  body: { spec: { matches: { ports: [] } } },
};
const reading = group('reading', [{ name: 'get', methods: ['GET'] }]);

export const mistakes: readonly Mistake[] = [
  {
    title: 'a split of a Service that does not exist',
    object: split('no-root', { service: 'wbe', backends }),
    told: {
      condition: 'ResolvedRefs',
      status: 'False',
      reason: 'UnresolvedService',
      fix: /mistakes\/wbe.*create it, or correct the name/,
    },
  },
  {
    title: 'a backend that does not exist',
    object: split('no-backend', {
      service: 'web-v1',
      backends: [...backends, { service: 'web-v3', weight: 1 }],
    }),
    told: {
      condition: 'ResolvedRefs',
      status: 'False',
      reason: 'BackendMissing',
      fix: /web-v3 .*create it, or correct the name/,
    },
  },
  {
    title: 'a backend without a port of the root',
    object: split('no-port', { service: 'web', backends: [{ service: 'web-v2', weight: 1 }] }),
    told: {
      condition: 'ResolvedRefs',
      status: 'False',
      reason: 'BackendPortMissing',
      fix: /web-v2 does not expose port 8080.*add what is missing/,
    },
  },
  {
    title: 'a second split of one Service',
    before: [split('first', { service: 'web-v2', backends })],
    object: split('second', { service: 'web-v2', backends }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'Conflict',
      fix: /older TrafficSplit mistakes\/first.*delete one or give it matches/,
    },
  },
  {
    title: 'weights that are all zero',
    object: split('no-weight', {
      service: 'zero.example.com',
      backends: [{ service: 'web-v1', weight: 0 }],
    }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'NoBackendWeight',
      fix: /give one backend a weight/,
    },
  },
  {
    title: 'a split without backends',
    object: split('empty', { service: 'empty.example.com', backends: [] }),
    told: {
      condition: 'ResolvedRefs',
      status: 'False',
      reason: 'BackendMissing',
      fix: /name a backend/,
    },
  },
  {
    title: 'a root in another namespace',
    object: split('foreign-root', { service: 'web.default.svc', backends }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'HostAliasRefused',
      fix: /name a Service of namespace mistakes/,
    },
  },
  {
    title: 'a root inside the mesh domain',
    object: split('mesh-root', { service: 'web.other.mesh', backends }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'HostAliasRefused',
      fix: /inside the mesh domain mesh: name a Service/,
    },
  },
  {
    title: 'a split on an HTTPRouteGroup that does not exist',
    object: split('no-group', {
      service: 'group.example.com',
      backends,
      matches: [{ kind: 'HTTPRouteGroup', name: 'gone' }],
    }),
    told: {
      condition: 'ResolvedRefs',
      status: 'False',
      reason: 'UnresolvedRoute',
      fix: /HTTPRouteGroup mistakes\/gone.*create it, or correct the name/,
    },
  },
  {
    title: 'a split on a TCPRoute',
    object: split('tcp-match', {
      service: 'web',
      backends,
      matches: [{ kind: 'TCPRoute', name: 'all' }],
    }),
    told: { refused: /spec\.matches\[0\]\.kind.*supported values: "HTTPRouteGroup"/ },
  },
  {
    title: 'a negative weight',
    object: split('negative', { service: 'web', backends: [{ service: 'web-v1', weight: -1 }] }),
    told: { refused: /spec\.backends\[0\]\.weight.*greater than or equal to 0/ },
  },
  {
    title: 'a weight in words',
    object: split('words', { service: 'web', backends: [{ service: 'web-v1', weight: 'most' }] }),
    told: { refused: /spec\.backends\[0\]\.weight.*should match/ },
  },
  {
    title: 'a destination in another namespace',
    object: target('foreign', { destination: { ...account('web'), namespace: 'default' } }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'ForeignDestination',
      fix: /create it in default/,
    },
  },
  {
    title: 'an empty list of rules',
    object: target('no-rules', { rules: [] }),
    told: { condition: 'Accepted', status: 'False', reason: 'NoRules', fix: /add a rule/ },
  },
  {
    title: 'no rules at all in v1alpha3',
    object: target('absent-rules', { rules: undefined }),
    told: { refused: /spec\.rules: Required value/ },
  },
  {
    title: 'an empty list of sources',
    object: target('no-sources', { sources: [] }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'InvalidObject',
      fix: /name whom the target allows/,
    },
  },
  {
    title: 'a rule with a route that does not exist',
    object: target('no-route', { rules: [{ kind: 'HTTPRouteGroup', name: 'gone' }] }),
    told: {
      condition: 'ResolvedRefs',
      status: 'False',
      reason: 'UnresolvedRoute',
      fix: /HTTPRouteGroup mistakes\/gone.*create it, or correct the name/,
    },
  },
  {
    title: 'a rule with a match that the group does not have',
    before: [reading],
    object: target('no-match', {
      rules: [{ kind: 'HTTPRouteGroup', name: 'reading', matches: ['gte'] }],
    }),
    told: {
      condition: 'ResolvedRefs',
      status: 'False',
      reason: 'UnresolvedRoute',
      fix: /match "gte" of HTTPRouteGroup mistakes\/reading.*correct the name/,
    },
  },
  {
    title: 'a source that is a group of users',
    before: [everyPort],
    object: target('users', { sources: [{ kind: 'Group', name: 'admins' }] }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'UnsupportedField',
      fix: /kind Group of admins.*name a ServiceAccount/,
    },
  },
  {
    title: 'a destination that is a Service',
    object: target('service', { destination: { kind: 'Service', name: 'web' } }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'UnsupportedField',
      fix: /destination\.kind is Service: only ServiceAccount is known/,
    },
  },
  {
    title: 'a source without its namespace',
    before: [everyPort],
    object: target('short-source', { sources: [{ kind: 'ServiceAccount', name: 'front' }] }),
    told: {
      condition: 'Accepted',
      status: 'True',
      reason: 'NamespaceDefaulted',
      fix: /mistakes is meant, write it down/,
    },
  },
  {
    title: 'matches of a TCPRoute',
    before: [everyPort],
    object: target('tcp-matches', { rules: [{ kind: 'TCPRoute', name: 'all', matches: ['get'] }] }),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'UnsupportedField',
      fix: /means nothing for a TCPRoute: remove it/,
    },
  },
  {
    title: 'a port that is none',
    before: [everyPort],
    object: {
      apiVersion: 'access.smi-spec.io/v1alpha2',
      kind: 'TrafficTarget',
      name: 'port',
      body: {
        spec: { destination: { ...account('web'), port: '70000' }, sources: [account('front')] },
      },
    },
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'InvalidObject',
      fix: /write a port number or none/,
    },
  },
  {
    title: 'a pattern that is no RE2',
    object: group('pattern', [{ name: 'one', pathRegex: '/(?<=a)b' }]),
    told: { condition: 'Accepted', status: 'False', reason: 'InvalidPattern', fix: /one/ },
  },
  {
    title: 'two matches of one name',
    object: group('twins', [
      { name: 'one', methods: ['GET'] },
      { name: 'one', methods: ['PUT'] },
    ]),
    told: {
      condition: 'Accepted',
      status: 'False',
      reason: 'DuplicateMatch',
      fix: /which counts: rename one/,
    },
  },
  {
    title: 'a method that does not exist',
    object: group('method', [{ name: 'one', methods: ['FETCH'] }]),
    told: { refused: /methods\[0\].*supported values: .*"GET"/ },
  },
  {
    title: 'a header value that YAML reads as a boolean',
    object: group('yes', [{ name: 'one', headers: { 'x-beta': true } }]),
    told: { condition: 'Accepted', status: 'False', reason: 'InvalidObject', fix: /quote/ },
  },
  {
    title: 'matches that stand beside spec',
    object: {
      apiVersion: specs,
      kind: 'HTTPRouteGroup',
      name: 'beside',
      body: { matches: [{ name: 'one', methods: ['GET'] }] },
    },
    told: {
      condition: 'Accepted',
      status: 'True',
      reason: 'MatchesOnRoot',
      fix: /move them below spec/,
    },
  },
  {
    title: 'matches at both places',
    object: {
      apiVersion: specs,
      kind: 'HTTPRouteGroup',
      name: 'both',
      body: {
        matches: [{ name: 'one', methods: ['GET'] }],
        spec: { matches: [{ name: 'two', methods: ['PUT'] }] },
      },
    },
    told: {
      condition: 'Accepted',
      status: 'True',
      reason: 'ShapeMixed',
      fix: /spec\.matches counts, remove those at the top/,
    },
  },
];
