// What is read of the wire: sections come back as they were, deltas fit or are refused as a whole,
// and arbitrary bytes are a failure value, never an exception.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { buildSnapshot } from './build.ts';
import { decodeSection } from './decode.ts';
import { applyDelta, diffSnapshot } from './diff.ts';
import { canonicalText, sectionId } from './encode.ts';
import { backendId, type Section, type SectionId } from './sections.ts';

const rules = {
  upstreamHost: 'web.example',
  retryAttempts: 2,
  retryOn: ['reset', 503] as const,
  retryBudgetPercent: 12.5,
  timeoutMs: 250,
  connectTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  perTryTimeoutMs: undefined,
  maxRequestBodyBytes: undefined,
  isStopped: false,
};

const match = {
  name: 'routes/api',
  pathRegex: '/api',
  methods: ['GET'],
  headers: [{ name: '__proto__', pattern: 'x' }],
};

const sections: readonly Section[] = [
  {
    kind: 'mesh',
    meshDomains: ['mesh'],
    clusterDomain: 'cluster.local',
    listeners: [
      { protocol: 'http', servicePort: 80, targetPort: 15_180 },
      { protocol: 'tcp', namespace: 'shop', service: 'db', servicePort: 5432, targetPort: 20_001 },
      { protocol: 'udp', namespace: 'net', service: 'dns', servicePort: 53, targetPort: 20_001 },
    ],
    addresses: ['10.96.0.1'],
    places: [{ name: 'weft-l4-0', addresses: ['10.96.0.2'] }],
  },
  {
    kind: 'namespaces',
    defaultPolicy: 'off',
    defaultMtls: 'permissive',
    namespaces: [{ name: 'shop', policy: 'enforce', mtls: 'strict' }],
  },
  {
    kind: 'service',
    namespace: 'shop',
    name: 'web',
    hostnames: ['web.shop.mesh'],
    aliases: [],
    place: 'weft-l4-0',
    ports: [
      {
        port: 80,
        protocol: 'http',
        routes: [
          {
            name: 'split shop/web',
            matches: [match],
            backends: [{ backend: backendId('shop', 'v1', 80), weight: 0 }],
          },
          { name: 'service shop/web', matches: undefined, backends: [] },
        ],
      },
    ],
    rules,
  },
  {
    kind: 'endpoints',
    namespace: 'shop',
    service: 'web',
    backends: [
      {
        port: 80,
        scheme: 'http',
        endpoints: [{ address: '10.1.0.1', port: 8080, nodeName: 'n1', podName: 'web-1' }],
      },
      {
        port: 80,
        transport: 'udp',
        scheme: 'http',
        endpoints: [{ address: '10.1.0.1', port: 8053, nodeName: 'n1', podName: 'web-1' }],
      },
    ],
  },
  {
    kind: 'permissions',
    namespace: 'shop',
    serviceAccount: 'web',
    permissions: [
      {
        target: 'front',
        sources: ['shop/front'],
        http: { ports: [8080], matches: [match] },
        tcp: { ports: undefined },
        udp: undefined,
      },
    ],
  },
];

describe('decodeSection', () => {
  test.each(sections)('reads a $kind section back as it was', (section) => {
    const decoded = decodeSection(sectionId(section), canonicalText(section));
    expect(decoded).toEqual({ kind: 'section', section });
  });

  test('keys stand in one order, however the object was written', () => {
    for (const section of sections) {
      const reversed = JSON.parse(JSON.stringify(section), reverseKeys) as Section;
      expect(canonicalText(reversed)).toBe(canonicalText(section));
    }
  });

  test('refuses a section under another name', () => {
    const [mesh, namespaces] = sections;
    if (mesh === undefined || namespaces === undefined) return;
    const decoded = decodeSection(sectionId(mesh), canonicalText(namespaces));
    expect(decoded.kind === 'failure' && decoded.failure.reason).toBe('BadSection');
  });

  test.each([
    ['', 'is no JSON'],
    ['null', 'does not have the shape'],
    ['{"kind":"mesh"}', 'does not have the shape'],
    ['[[[[[[[[', 'is no JSON'],
    ['{"kind":"service","hostnames":[],"aliases":[]}', 'does not have the shape'],
  ])('says what is wrong with %j', (text, why) => {
    const decoded = decodeSection('mesh', text);
    expect(decoded.kind === 'failure' && decoded.failure.message).toContain(why);
  });

  test.each([
    ['"protocol":"tcp"', '"protocol":"sctp"'],
    ['"service":"db"', '"service":7'],
    ['"namespace":"shop","protocol":"tcp"', '"protocol":"tcp"'],
  ])('refuses a listener with %s as %s', (said, other) => {
    const mesh = sections.find(({ kind }) => kind === 'mesh');
    if (mesh === undefined) return;
    const text = canonicalText(mesh).replace(said, other);
    expect(text).toContain(other);
    expect(decodeSection(sectionId(mesh), text).kind).toBe('failure');
  });

  test.each([
    ['"10.1.0.1",8080,"n1"', 'three of four values'],
    ['8080,"10.1.0.1","n1","web-1"', 'values in another order'],
    ['"10.1.0.1",65536,"n1","web-1"', 'a port that is none'],
    ['{"address":"10.1.0.1","port":8080,"nodeName":"","podName":""}', 'an object'],
  ])('refuses endpoints %s: %s', (values) => {
    const endpoints = sections.find(({ kind }) => kind === 'endpoints');
    if (endpoints === undefined) return;
    const text = canonicalText(endpoints).replace('"10.1.0.1",8080,"n1","web-1"', values);
    expect(text).toContain(values);
    const decoded = decodeSection(sectionId(endpoints), text);
    expect(decoded.kind === 'failure' && decoded.failure.reason).toBe('BadSection');
  });

  test.each([
    ['"routes/api","/api",["GET"]', 'three of four values'],
    ['"routes/api",null,null,["x"]', 'a header without pattern'],
    ['"routes/api","/api","GET",[]', 'methods that are no list'],
    ['{"name":"routes/api","pathRegex":"/api","headers":[]}', 'an object'],
  ])('refuses matches %s: %s', (values) => {
    const service = sections.find(({ kind }) => kind === 'service');
    if (service === undefined) return;
    const before = '"routes/api","/api",["GET"],["__proto__","x"]';
    const text = canonicalText(service).replace(before, values);
    expect(text).toContain(values);
    const decoded = decodeSection(sectionId(service), text);
    expect(decoded.kind === 'failure' && decoded.failure.reason).toBe('BadSection');
  });

  test.each([
    ['"front",["shop/front"],[8080]', 'half of six values'],
    ['"front",["shop/front"],false,null,null,null', 'ports that are neither a list nor all'],
    ['"front","shop/front",true,null,null,null', 'sources that are no list'],
    ['"front",["shop/front"],[65536],null,null,null', 'a port that is none'],
    ['{"target":"front","sources":["shop/front"],"http":{}}', 'an object'],
  ])('refuses permissions %s: %s', (values) => {
    const permissions = sections.find(({ kind }) => kind === 'permissions');
    if (permissions === undefined) return;
    const text = canonicalText(permissions).replace(/"permissions":\[.*\],"service/, (whole) => {
      expect(whole).toContain('"front"');
      return `"permissions":[${values}],"service`;
    });
    expect(text).toContain(values);
    const decoded = decodeSection(sectionId(permissions), text);
    expect(decoded.kind === 'failure' && decoded.failure.reason).toBe('BadSection');
  });

  test('what nearly every service says is not in its text, and read back all the same', () => {
    const service = sections.find((section) => section.kind === 'service');
    if (service === undefined) throw new Error('no service among the sections');
    const usual = { retryOn: ['connect-failure', 'reset'], retryBudgetPercent: 20 } as const;
    const plain = { ...service, rules: { ...rules, ...usual, timeoutMs: undefined } };
    const text = canonicalText({ ...plain, rules: { ...plain.rules, retryAttempts: undefined } });
    expect(text).not.toContain('retry');
    expect(text).not.toContain('isStopped');
    for (const change of [{}, { isStopped: true }, { retryOn: [] }, { retryBudgetPercent: 0 }]) {
      const section = { ...plain, rules: { ...plain.rules, ...change } };
      const decoded = decodeSection(sectionId(section), canonicalText(section));
      expect(decoded).toEqual({ kind: 'section', section });
    }
  });

  test('never throws on arbitrary bytes, and never takes half a section', () => {
    const random = seededRandom(7);
    for (let round = 0; round < 4_000; round += 1) {
      const section = sections[Math.floor(random() * sections.length)];
      if (section === undefined) continue;
      const text = mutated(canonicalText(section), random);
      const decoded = decodeSection(sectionId(section), text);
      if (decoded.kind === 'failure') expect(decoded.failure.reason).toBe('BadSection');
      else expect(() => canonicalText(decoded.section)).not.toThrow();
    }
  });
});

function reverseKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).reverse());
}

/** Cuts, doubles, swaps and overwrites somewhere. */
function mutated(text: string, random: () => number): string {
  const at = Math.floor(random() * text.length);
  const to = at + Math.floor(random() * 20);
  const noise = ['', '"', '{}', '[]', 'null', '-1', '1e999', '\u0000', '\ud800', '__proto__', ','];
  const middle =
    random() < 0.5 ? (noise[Math.floor(random() * noise.length)] ?? '') : text.slice(at, to);
  return text.slice(0, at) + middle + text.slice(random() < 0.5 ? to : at);
}

describe('deltas', () => {
  const [mesh, namespaces, service] = sections;
  const before = buildSnapshot([mesh, namespaces].flatMap((section) => section ?? []));
  const after = buildSnapshot([mesh, service].flatMap((section) => section ?? []));

  test('hold what changed and what is gone', () => {
    const delta = diffSnapshot(before, after);
    expect(delta.changed.map(({ id }) => id)).toEqual(['service/shop/web']);
    expect(delta.removed).toEqual(['namespaces']);
    expect(diffSnapshot(after, after)).toMatchObject({ changed: [], removed: [] });
  });

  test('are refused on another base', () => {
    const applied = applyDelta(after, diffSnapshot(before, after));
    expect(applied.kind === 'failure' && applied.failure.reason).toBe('BaseMismatch');
    expect(applyDelta(undefined, diffSnapshot(before, after)).kind).toBe('failure');
  });

  test('are refused when they do not give the version that they promise', () => {
    const delta = { ...diffSnapshot(before, after), removed: [] };
    const applied = applyDelta(before, delta);
    expect(applied.kind === 'failure' && applied.failure.reason).toBe('VersionMismatch');
  });

  test('are refused as a whole for one bad section', () => {
    const delta = diffSnapshot(before, after);
    const changed = [...delta.changed, { id: 'mesh' as SectionId, text: '{' }];
    const applied = applyDelta(before, { ...delta, changed });
    expect(applied.kind === 'failure' && applied.failure.reason).toBe('BadSection');
  });

  test('leave the records of unchanged sections as they are', () => {
    const applied = applyDelta(before, structuredClone(diffSnapshot(before, after)));
    const id = 'mesh' as SectionId;
    expect(applied.kind === 'snapshot' && applied.snapshot.sections.get(id)).toBe(
      before.sections.get(id),
    );
  });
});
