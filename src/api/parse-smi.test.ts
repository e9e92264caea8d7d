// SMI objects by their shape: rules R-2 … R-45 as far as one object alone decides them. What is
// doubtful must allow less, never more.
import { describe, expect, test } from 'vitest';
import type { Parsed, ProblemReason } from './object.ts';
import { parsers } from './parsers.ts';
import type { HttpMatch, HttpRouteGroup, TrafficSplit, TrafficTarget } from './smi.ts';

const metadata = { name: 'x', namespace: 'shop', uid: 'u1', generation: 3 };

function reasons(parsed: Parsed<unknown>): readonly ProblemReason[] {
  return parsed.problems.map((problem) => problem.reason);
}

const web = { kind: 'ServiceAccount', name: 'web' };
const front = { kind: 'ServiceAccount', name: 'front', namespace: 'edge' };
const rule = { kind: 'HTTPRouteGroup', name: 'api' };

describe('TrafficTarget', () => {
  const parse = (fields: object): Parsed<TrafficTarget> =>
    parsers.TrafficTarget({ metadata, ...fields });
  const below = (spec: object) => parse({ spec: { destination: web, sources: [front], ...spec } });

  test('all versions that say the same are equal', () => {
    const old = parse({
      apiVersion: 'access.smi-spec.io/v1alpha1',
      destination: { ...web, port: 8080 },
      sources: [front],
      specs: [rule],
    });
    const later = parse({
      apiVersion: 'access.smi-spec.io/v1alpha3',
      spec: { destination: { ...web, port: 8080 }, sources: [front], rules: [rule] },
    });
    expect(old).toEqual(later);
    expect(old.problems).toEqual([]);
    expect(old.value).toMatchObject({
      destination: { kind: 'ServiceAccount', name: 'web', namespace: undefined },
      destinationPort: 8080,
      sources: [front],
      rules: [{ kind: 'HTTPRouteGroup', name: 'api', matches: undefined }],
    });
  });

  test('R-6: absent rules stay absent, an empty list is invalid', () => {
    expect(below({}).value?.rules).toBeUndefined();
    expect(below({}).problems).toEqual([]);
    for (const rules of [[], null]) {
      expect(below({ rules }).value).toBeUndefined();
      expect(reasons(below({ rules }))).toEqual(['NoRules']);
    }
    const old = parse({ destination: web, sources: [front], specs: [] });
    expect([old.value, reasons(old)]).toEqual([undefined, ['NoRules']]);
  });

  test('both shapes: spec counts, and the object is told', () => {
    const both = parse({
      destination: { ...web, name: 'other' },
      spec: { destination: web, sources: [front], rules: [rule] },
    });
    expect(both.value?.destination.name).toBe('web');
    expect(reasons(both)).toEqual(['ShapeMixed']);
  });

  test('rules in the wrong place never become "every route"', () => {
    const misplaced = [
      { specs: [rule], spec: { destination: web, sources: [front] } },
      { spec: { destination: web, sources: [front], specs: [rule] } },
      { destination: web, sources: [front], rules: [rule] },
    ];
    for (const fields of misplaced) {
      const parsed = parse(fields);
      expect(parsed.value).toBeUndefined();
      expect(reasons(parsed)).toContain('ShapeMixed');
    }
  });

  test('R-44: destination.port narrows wherever it stands', () => {
    expect(below({ destination: { ...web, port: '8080' } }).value?.destinationPort).toBe(8080);
    const other = parse({
      destination: { ...web, port: 8080 },
      spec: { destination: web, sources: [front], rules: [rule] },
    });
    expect(other.value?.destinationPort).toBe(8080);
  });

  test.each([0, 65536, 80.5, 'http', null, true, {}])(
    'R-44: a destination.port of %j voids the target',
    (port) => {
      const parsed = below({ destination: { ...web, port }, rules: [rule] });
      expect([parsed.value, reasons(parsed)]).toEqual([undefined, ['InvalidObject']]);
    },
  );

  test('a bad source is left out, the others stay', () => {
    const parsed = below({ sources: [{ kind: 'ServiceAccount' }, 'front', front], rules: [rule] });
    expect(parsed.value?.sources).toEqual([front]);
    expect(reasons(parsed)).toEqual(['InvalidObject', 'InvalidObject']);
  });

  test('no source is said', () => {
    for (const sources of [undefined, []]) {
      const parsed = below({ sources, rules: [rule] });
      expect([parsed.value?.sources, reasons(parsed)]).toEqual([[], ['InvalidObject']]);
    }
  });

  const badRules = [
    [{ kind: 'HTTPRoute', name: 'api' }],
    [{ kind: 'TCPRoute' }],
    [rule, 'api'],
    [{ ...rule, matches: 'all' }],
    [{ ...rule, matches: [1] }],
    [{ ...rule, matches: null }],
    'api',
    {},
  ];
  test.each(badRules.map((rules) => [rules]))('a bad rule voids the target: %j', (rules) => {
    const parsed = below({ rules });
    expect([parsed.value, reasons(parsed)]).toEqual([undefined, ['InvalidObject']]);
  });

  test('R-7: matches of a rule are kept, an empty list names none', () => {
    const named = below({ rules: [{ ...rule, matches: ['a', 'b', 'a'] }] });
    expect(named.value?.rules?.[0]?.matches).toEqual(['a', 'b']);
    const none = below({ rules: [{ ...rule, matches: [] }] });
    expect(none.value?.rules?.[0]?.matches).toEqual([]);
    expect(reasons(none)).toEqual(['InvalidObject']);
    const tcp = below({ rules: [{ kind: 'TCPRoute', name: 't', matches: ['a'] }] });
    expect(tcp.value?.rules?.[0]?.matches).toBeUndefined();
    expect(reasons(tcp)).toEqual(['UnsupportedField']);
  });

  test('a destination without kind, name or with a wrong namespace is no target', () => {
    const bad = [undefined, null, 'web', { name: 'web' }, { kind: 'ServiceAccount' }];
    for (const destination of [...bad, { ...web, namespace: 7 }]) {
      const parsed = below({ destination, rules: [rule] });
      expect([parsed.value, reasons(parsed)]).toEqual([undefined, ['InvalidObject']]);
    }
  });
});

describe('HTTPRouteGroup', () => {
  const parse = (fields: object): Parsed<HttpRouteGroup> =>
    parsers.HTTPRouteGroup({ metadata, ...fields });
  const only = (match: object): Parsed<HttpRouteGroup> =>
    parse({ spec: { matches: [{ name: 'm', ...match }] } });
  const anything: HttpMatch = { name: 'm', pathRegex: undefined, methods: undefined, headers: [] };

  test('R-18: all forms of headers say the same', () => {
    const expected = [
      { name: 'cookie', pattern: '^.*?user=test.*$' },
      { name: 'user-agent', pattern: '.*Firefox.*' },
    ];
    const list = [{ 'User-Agent': '.*Firefox.*' }, { cookie: '^.*?user=test.*$' }];
    const object = { cookie: '^.*?user=test.*$', 'user-agent': '.*Firefox.*' };
    for (const headers of [list, [...list].reverse(), object, [object]]) {
      const parsed = only({ headers });
      expect(parsed.value?.matches[0]?.headers).toEqual(expected);
      expect(parsed.problems).toEqual([]);
    }
  });

  test('R-19: matches on the root are used, and told unless an old version wrote them', () => {
    const matches = [{ name: 'm' }];
    const told = parse({ apiVersion: 'specs.smi-spec.io/v1alpha4', spec: {}, matches });
    expect([told.value?.matches, reasons(told)]).toEqual([[anything], ['MatchesOnRoot']]);
    const old = parse({ apiVersion: 'specs.smi-spec.io/v1alpha2', matches });
    expect([old.value?.matches, reasons(old)]).toEqual([[anything], []]);
    const managedFields = [{ apiVersion: 'specs.smi-spec.io/v1alpha1', manager: 'kubectl' }];
    const stored = parsers.HTTPRouteGroup({
      apiVersion: 'specs.smi-spec.io/v1alpha4',
      metadata: { ...metadata, managedFields },
      matches,
    });
    expect(stored.problems).toEqual([]);
    const later = [{ apiVersion: 'specs.smi-spec.io/v1alpha3', manager: 'kubectl' }];
    const readAsOld = parsers.HTTPRouteGroup({
      apiVersion: 'specs.smi-spec.io/v1alpha1',
      metadata: { ...metadata, managedFields: later },
      matches,
    });
    expect(reasons(readAsOld)).toEqual(['MatchesOnRoot']);
  });

  test('both shapes: spec.matches counts', () => {
    const parsed = parse({ matches: [{ name: 'top' }], spec: { matches: [{ name: 'm' }] } });
    expect([parsed.value?.matches, reasons(parsed)]).toEqual([[anything], ['ShapeMixed']]);
  });

  test('R-26: a match without condition matches everything', () => {
    expect(only({})).toMatchObject({ value: { matches: [anything] }, problems: [] });
  });

  test('R-27: empty methods and * mean any method', () => {
    for (const methods of [[], ['*'], ['*', 'GET']]) {
      expect(only({ methods }).value?.matches).toEqual([anything]);
    }
    expect(only({ methods: ['POST', 'GET', 'GET'] }).value?.matches[0]?.methods).toEqual([
      'GET',
      'POST',
    ]);
  });

  test('R-28: no matches match nothing', () => {
    for (const fields of [{}, { spec: {} }, { spec: { matches: [] } }, { spec: null }]) {
      expect(parse(fields)).toMatchObject({ value: { matches: [] }, problems: [] });
    }
  });

  const unreadable = [
    { pathRegex: 7 },
    { pathRegex: null },
    { pathRegex: 'a'.repeat(1025) },
    { methods: 'GET' },
    { methods: ['get'] },
    { methods: [true] },
    { methods: null },
    { headers: { 'x-canary': true } },
    { headers: [{ 'x-canary': 1 }] },
    { headers: 'x-canary' },
    { headers: null },
    { headers: [null] },
    { headers: { 'bad name': 'x' } },
    { headers: { '': 'x' } },
    { headers: { a: 'b'.repeat(1025) } },
  ];
  test.each(unreadable)('R-29: an unreadable match is dropped, never widened: %j', (bad) => {
    const parsed = parse({ spec: { matches: [{ name: 'bad', ...bad }, { name: 'm' }] } });
    expect([parsed.value?.matches, reasons(parsed)]).toEqual([[anything], ['InvalidObject']]);
  });

  test('an unquoted yes is told to be quoted', () => {
    expect(only({ headers: { 'x-canary': true } }).problems[0]?.message).toBe(
      'spec.matches[0] ("m") is left out: header x-canary is true: quote it, ' +
        'write a quoted string of at most 1024 characters',
    );
  });

  test('of two matches with one name the first counts', () => {
    const matches = [{ name: 'm' }, { name: 'm', pathRegex: '/x' }, { pathRegex: '/y' }];
    const parsed = parse({ spec: { matches } });
    expect(parsed.value?.matches).toEqual([anything]);
    expect(reasons(parsed)).toEqual(['DuplicateMatch', 'InvalidObject']);
  });

  test('matches that are no list, or far too many, are no group', () => {
    for (const matches of ['m', null, { name: 'm' }, new Array(1001).fill({ name: 'm' })]) {
      const parsed = parse({ spec: { matches } });
      expect([parsed.value, reasons(parsed)]).toEqual([undefined, ['InvalidObject']]);
    }
  });
});

describe('TCPRoute and UDPRoute', () => {
  const cases: readonly (readonly [object, readonly number[] | undefined])[] = [
    [{}, undefined],
    [{ spec: {} }, undefined],
    [{ spec: { matches: {} } }, undefined],
    [{ spec: { matches: { ports: [] } } }, undefined],
    [{ spec: { matches: { name: 'm', ports: [443, 80, 443] } } }, [80, 443]],
  ];
  test.each(cases)('%j', (fields, ports) => {
    for (const parse of [parsers.TCPRoute, parsers.UDPRoute]) {
      expect(parse({ metadata, ...fields })).toMatchObject({ value: { ports }, problems: [] });
    }
  });

  test('one bad port is left out, only bad ports do not mean all ports', () => {
    const some = parsers.TCPRoute({ metadata, spec: { matches: { ports: [80, 'http'] } } });
    expect([some.value?.ports, reasons(some)]).toEqual([[80], ['InvalidObject']]);
    for (const ports of [['http'], 80, {}]) {
      const none = parsers.TCPRoute({ metadata, spec: { matches: { ports } } });
      expect([none.value, reasons(none)]).toEqual([undefined, ['InvalidObject']]);
    }
    for (const spec of ['x', { matches: [{ ports: [80] }] }]) {
      expect(parsers.UDPRoute({ metadata, spec }).value).toBeUndefined();
    }
  });
});

describe('TrafficSplit', () => {
  const parse = (spec: object): Parsed<TrafficSplit> => parsers.TrafficSplit({ metadata, spec });
  const split = (...weights: readonly unknown[]): Parsed<TrafficSplit> =>
    parse({
      service: 'web',
      backends: weights.map((weight, index) => ({ service: `web-v${index}`, weight })),
    });

  const ratios: readonly (readonly [readonly unknown[], readonly number[]])[] = [
    [[90, 10], [90, 10]],
    [['90', '10'], [90, 10]],
    [['1', '500m'], [1000, 500]],
    [[1, '500m'], [1000, 500]],
    [['1000m', '500m', 0], [1000, 500, 0]],
    [['1e3', 1], [1000, 1]],
    [[0, 0], [0, 0]],
    [['6G', '4G'], [3, 2]],
    [[], []],
  ];
  test.each(ratios)('R-45: weights %j are %j', (weights, expected) => {
    const parsed = split(...weights);
    expect(parsed.value?.backends.map((backend) => backend.weight)).toEqual(expected);
    expect(parsed.problems).toEqual([]);
  });

  test('R-38: a negative or unreadable weight voids the split', () => {
    for (const weight of [-1, -0.5, '-5', 'abc', '', true, null, {}, 1e300, '9Ei']) {
      const parsed = split(1, weight);
      expect([parsed.value, reasons(parsed)]).toEqual([undefined, ['InvalidObject']]);
    }
  });

  test('R-38: a fractional number is rounded down and told', () => {
    const parsed = split(10.9, 0.5);
    expect(parsed.value?.backends.map((backend) => backend.weight)).toEqual([10, 0]);
    expect(reasons(parsed)).toEqual(['WeightRounded', 'WeightRounded']);
  });

  test('a missing weight counts as zero and is told', () => {
    const parsed = split(10, undefined);
    expect(parsed.value?.backends.map((backend) => backend.weight)).toEqual([10, 0]);
    expect(reasons(parsed)).toEqual(['InvalidObject']);
  });

  test('the root is lower case without a trailing dot', () => {
    const parsed = parse({ service: 'Web.Shop.svc.cluster.local.', backends: [] });
    expect(parsed.value?.service).toBe('web.shop.svc.cluster.local');
  });

  test('no root, or a backend without a name, is no split', () => {
    const bad = [{}, { service: '' }, { service: 7 }, { service: 'web', backends: 'x' }];
    for (const spec of [...bad, { service: 'web', backends: [{ weight: 1 }] }]) {
      const parsed = parse(spec);
      expect([parsed.value, reasons(parsed)]).toEqual([undefined, ['InvalidObject']]);
    }
  });

  test('matches keep their groups; what is no group leaves, but never the condition itself', () => {
    const matches = [
      { kind: 'HTTPRouteGroup', name: 'canary', apiGroup: 'specs.smi-spec.io' },
      { kind: 'TCPRoute', name: 'db' },
    ];
    const some = parse({ service: 'web', backends: [], matches });
    expect([some.value?.matches, reasons(some)]).toEqual([['canary'], ['UnsupportedField']]);
    const none = parse({ service: 'web', backends: [], matches: matches.slice(1) });
    expect(none.value?.matches).toEqual([]);
    for (const empty of [undefined, null, []]) {
      const parsed = parse({ service: 'web', backends: [], matches: empty });
      expect(parsed.value?.matches).toBeUndefined();
    }
  });
});
