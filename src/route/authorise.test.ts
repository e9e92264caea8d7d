// Who may call which pod (smi R-9 … R-17, contract §3): modes, what permissions open, destinations
// that are no pod, and who a source is.
import { describe, expect, test } from 'vitest';
import { requestHead } from '../../test/support/request-head.ts';
import {
  endpointsSection,
  matchSpec,
  namespacesSection,
  nodePart,
  permissionsSection,
  permissionSpec,
  recordsOf,
  serviceSection,
  workload,
} from '../../test/support/sections.ts';
import type {
  AddressBinding,
  MatchSpec,
  PermissionSpec,
  PolicyMode,
  Section,
} from '../snapshot/index.ts';
import { authorise, authoriseFlow } from './authorise.ts';
import { compileTable } from './compile-table.ts';
import { sourceOf } from './source.ts';
import type { Endpoint, RequestHead, Source, Verdict } from './types.ts';

const pod: AddressBinding = {
  kind: 'workload',
  isLocal: false,
  nodeName: 'node-b',
  workload: workload('shop/web'),
};
const endpoint: Endpoint = {
  id: '10.1.0.1:8080',
  namespace: 'shop',
  address: '10.1.0.1',
  port: 8080,
  nodeName: 'node-b',
  podName: 'web-1',
};

function callerOf(principal: string): Source {
  const [namespace = '', serviceAccount = ''] = principal.split('/');
  const podName = `${serviceAccount}-1`;
  return { kind: 'workload', namespace, serviceAccount, principal, workload: 'x', podName };
}

const front = callerOf('shop/front');
const nobody: Source = { kind: 'unauthenticated' };

type World = {
  readonly mode?: PolicyMode;
  readonly policies?: Readonly<Record<string, PolicyMode>>;
  readonly permissions?: readonly PermissionSpec[];
  readonly binding?: AddressBinding | undefined;
};

function tableOf(world: World) {
  const sections: Section[] = [
    namespacesSection(world.mode ?? 'enforce', world.policies),
    serviceSection('shop/web'),
    endpointsSection('shop/web', ['10.1.0.1:8080']),
    permissionsSection('shop/web', world.permissions ?? []),
  ];
  const binding = 'binding' in world ? world.binding : pod;
  const bindings = new Map(binding === undefined ? [] : [['10.1.0.1', binding] as const]);
  return compileTable(recordsOf(...sections), nodePart(bindings));
}

/** `allow`, `audit REASON` or `deny REASON`. */
function told(world: World, source: Source, head: RequestHead = requestHead()): string {
  const verdict = authorise(tableOf(world), source, endpoint, head);
  return verdict.kind === 'allow' ? 'allow' : `${verdict.kind} ${verdict.reason}`;
}

function toldTcp(permissions: readonly PermissionSpec[]): string {
  return textOf(authoriseFlow(tableOf({ permissions }), front, endpoint, 'tcp'));
}

function toldUdp(permissions: readonly PermissionSpec[]): string {
  return textOf(authoriseFlow(tableOf({ permissions }), front, endpoint, 'udp'));
}

function textOf(verdict: Verdict): string {
  return verdict.kind === 'allow' ? 'allow' : `${verdict.kind} ${verdict.reason}`;
}

function httpTo(
  matches: readonly MatchSpec[] | undefined,
  ports?: readonly number[],
): PermissionSpec {
  return permissionSpec({ sources: ['shop/front'], http: { ports, matches } });
}

describe('R-15 modes', () => {
  test('off evaluates nothing, audit lets pass and says so, enforce denies', () => {
    expect(told({ mode: 'off' }, nobody)).toBe('allow');
    expect(told({ mode: 'audit' }, nobody)).toBe('audit SourceUnknown');
    expect(told({ mode: 'enforce' }, nobody)).toBe('deny SourceUnknown');
  });

  test('a namespace overrides the default, and the pod decides which namespace', () => {
    const closed = { mode: 'off', policies: { shop: 'enforce' } } as const;
    expect(told(closed, front)).toBe('deny SourceNotAllowed');
    const foreign = { ...pod, workload: workload('vault/web') };
    const policies = { vault: 'enforce', shop: 'off' } as const;
    expect(told({ mode: 'off', policies, binding: foreign }, front)).toBe('deny SourceNotAllowed');
  });

  test('without a namespaces section nothing is open', () => {
    const table = compileTable(recordsOf(serviceSection('shop/web')), nodePart());
    expect(authorise(table, front, endpoint, requestHead()).kind).toBe('deny');
  });

  test('a namespace may be called constructor', () => {
    const binding = { ...pod, workload: workload('constructor/web') };
    expect(told({ mode: 'enforce', binding }, front)).toBe('deny SourceNotAllowed');
  });
});

describe('what a permission opens', () => {
  test('R-12 any permission that allows is enough', () => {
    const permissions = [
      httpTo([matchSpec({ pathRegex: '/a' })]),
      httpTo([matchSpec({ pathRegex: '/b' })]),
    ];
    expect(told({ permissions }, front, requestHead({ path: '/b' }))).toBe('allow');
    expect(told({ permissions }, front, requestHead({ path: '/c' }))).toBe('deny RouteNotAllowed');
  });

  test('a source in no target is SourceNotAllowed, without identity SourceUnknown', () => {
    const permissions = [httpTo(undefined)];
    expect(told({ permissions }, front)).toBe('allow');
    expect(told({ permissions }, callerOf('shop/other'))).toBe('deny SourceNotAllowed');
    expect(told({ permissions }, callerOf('other/front'))).toBe('deny SourceNotAllowed');
    expect(told({ permissions }, callerOf('__proto__/constructor'))).toBe('deny SourceNotAllowed');
    expect(told({ permissions }, nobody)).toBe('deny SourceUnknown');
  });

  test('R-13 ports are those of the pod, not of the Service', () => {
    expect(told({ permissions: [httpTo(undefined, [8080])] }, front)).toBe('allow');
    expect(told({ permissions: [httpTo(undefined, [80])] }, front)).toBe('deny RouteNotAllowed');
  });

  test('R-9 in one target the ports narrow HTTP', () => {
    const both = { ...httpTo([matchSpec({ pathRegex: '/a' })], [8080]), tcp: { ports: [8080] } };
    const permissions = [both];
    expect(told({ permissions }, front, requestHead({ path: '/a' }))).toBe('allow');
    expect(told({ permissions }, front, requestHead({ path: '/b' }))).toBe('deny RouteNotAllowed');
  });

  test('R-28, R-29 no match, or none that compiles, opens nothing', () => {
    expect(told({ permissions: [httpTo([])] }, front)).toBe('deny RouteNotAllowed');
    const invalid = httpTo([matchSpec({ pathRegex: '/(' })]);
    expect(told({ permissions: [invalid] }, front)).toBe('deny RouteNotAllowed');
  });

  test('a permission without HTTP opens none', () => {
    const tcpOnly = permissionSpec({ sources: ['shop/front'], tcp: { ports: undefined } });
    expect(told({ permissions: [tcpOnly] }, front)).toBe('deny RouteNotAllowed');
  });
});

describe('R-21 an encoded slash under a permission', () => {
  test.each([['/a%2fb'], ['/a%2Fb'], ['/a%5cb'], ['/a%5Cb']])('%s is opened by no path', (path) => {
    const permissions = [httpTo([matchSpec({ pathRegex: '/a' })])];
    expect(told({ permissions }, front, requestHead({ path }))).toBe('deny RouteNotAllowed');
  });

  test('it is opaque where no path is spoken of, and where nothing is enforced', () => {
    const head = requestHead({ path: '/a%2fb' });
    const byMethod = httpTo([matchSpec({ methods: ['GET'] })]);
    expect(told({ permissions: [byMethod] }, front, head)).toBe('allow');
    expect(told({ permissions: [httpTo(undefined)] }, front, head)).toBe('allow');
    expect(told({ mode: 'off' }, front, head)).toBe('allow');
  });

  test('a double encoding stays what it is', () => {
    const permissions = [httpTo([matchSpec({ pathRegex: '/a' })])];
    expect(told({ permissions }, front, requestHead({ path: '/a%252fb' }))).toBe('allow');
  });
});

describe('opaque TCP', () => {
  test('R-9 a TCPRoute opens its ports', () => {
    const tcpTo = (ports: readonly number[] | undefined) => [
      permissionSpec({ sources: ['shop/front'], tcp: { ports } }),
    ];
    expect(toldTcp(tcpTo(undefined))).toBe('allow');
    expect(toldTcp(tcpTo([8080]))).toBe('allow');
    expect(toldTcp(tcpTo([9]))).toBe('deny RouteNotAllowed');
  });

  test('R-11 an HTTPRouteGroup alone opens no TCP', () => {
    expect(toldTcp([httpTo(undefined)])).toBe('deny RouteNotAllowed');
  });
});

describe('destinations that are no pod', () => {
  const permissions = [httpTo(undefined)];
  const cases: [string, AddressBinding | undefined][] = [
    ['external', undefined],
    ['disputed', { kind: 'disputed' }],
    ['a node', { kind: 'infrastructure' }],
  ];
  test.each(cases)('%s counts for the Service’s namespace and is never opened', (_, binding) => {
    expect(told({ permissions, binding }, front)).toBe('deny SourceNotAllowed');
    expect(told({ permissions, binding }, nobody)).toBe('deny SourceNotAllowed');
    expect(told({ mode: 'audit', permissions, binding }, front)).toBe('audit SourceNotAllowed');
    expect(told({ mode: 'enforce', policies: { shop: 'off' }, binding }, front)).toBe('allow');
  });

  test('metrics are told whose it is', () => {
    const head = requestHead();
    const known = authorise(tableOf({ mode: 'off' }), front, endpoint, head);
    expect(known.destination).toEqual({ namespace: 'shop', workload: 'Deployment/web' });
    const external = authorise(tableOf({ mode: 'off', binding: undefined }), front, endpoint, head);
    expect(external.destination).toEqual({ namespace: 'shop', workload: 'unknown' });
  });
});

describe('R-17 sources', () => {
  const bindings = new Map<string, AddressBinding>([
    [
      '10.1.0.1',
      { kind: 'workload', isLocal: true, nodeName: 'node-a', workload: workload('shop/front') },
    ],
    [
      'fd00::1',
      { kind: 'workload', isLocal: true, nodeName: 'node-a', workload: workload('shop/six') },
    ],
    [
      '10.1.0.2',
      { kind: 'workload', isLocal: false, nodeName: 'node-b', workload: workload('shop/far') },
    ],
    ['10.1.0.3', { kind: 'disputed' }],
    ['10.1.0.4', { kind: 'infrastructure' }],
  ]);
  const table = compileTable(recordsOf(), nodePart(bindings));

  test.each([
    ['10.1.0.1', 'shop/front'],
    ['::ffff:10.1.0.1', 'shop/front'],
    ['FD00:0::1', 'shop/six'],
    ['10.1.0.2', 'unauthenticated'],
    ['10.1.0.3', 'unauthenticated'],
    ['10.1.0.4', 'unauthenticated'],
    ['10.1.0.5', 'unauthenticated'],
    ['', 'unauthenticated'],
    ['__proto__', 'unauthenticated'],
    ['fe80::1%eth0', 'unauthenticated'],
  ])('%s is %s', (address, expected) => {
    const source = sourceOf(table, address);
    expect(source.kind === 'workload' ? source.principal : source.kind).toBe(expected);
  });
});

describe('R-9 what opens which flow', () => {
  const grant = (said: Partial<PermissionSpec>): readonly PermissionSpec[] => [
    permissionSpec({ sources: ['shop/front'], ...said }),
  ];

  test.each([
    ['a TCPRoute of its port', { tcp: { ports: [8080] } }, 'allow', 'deny RouteNotAllowed'],
    ['a UDPRoute of its port', { udp: { ports: [8080] } }, 'deny RouteNotAllowed', 'allow'],
    ['a UDPRoute of every port', { udp: { ports: undefined } }, 'deny RouteNotAllowed', 'allow'],
    ['routes of other ports', { tcp: { ports: [80] }, udp: { ports: [80] } },
      'deny RouteNotAllowed', 'deny RouteNotAllowed'],
    ['a UDPRoute of no port', { udp: { ports: [] } }, 'deny RouteNotAllowed',
      'deny RouteNotAllowed'],
    ['a group for HTTP alone', { http: { ports: undefined, matches: undefined } },
      'deny RouteNotAllowed', 'deny RouteNotAllowed'],
  ])('%s', (_, said, tcp, udp) => {
    const closed = { http: undefined, tcp: undefined, udp: undefined };
    expect(toldTcp(grant({ ...closed, ...said }))).toBe(tcp);
    expect(toldUdp(grant({ ...closed, ...said }))).toBe(udp);
  });
});
