// Random JSON in the shape of our kinds, and random texts of annotations: no parser throws, hangs
// or changes its input, what it gives up is told, and what is told is short. One seed each.
import { expect, test } from 'vitest';
import {
  isMeshed,
  parsers,
  resolveNamespace,
  resolveServiceSettings,
  structuralSchemas,
  trafficTypeOf,
} from '../../src/api/index.ts';
import type { Kind, MeshSettings, Problem } from '../../src/api/index.ts';
import { settingTable } from '../../src/api/defaults.ts';
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom } from '../../src/lib/random.ts';

const keys = [
  'metadata', 'name', 'namespace', 'uid', 'labels', 'annotations', 'spec', 'status', 'kind',
  'ports', 'port', 'protocol', 'targetPort', 'clusterIPs', 'selector', 'type', 'endpoints',
  'addresses',
  'conditions', 'ready', 'targetRef', 'addressType', 'destination', 'sources', 'rules', 'specs',
  'matches', 'pathRegex', 'methods', 'headers', 'service', 'backends', 'weight', 'podIPs', 'ip',
  'ownerReferences', 'controller', 'containerStatuses', 'state', 'managedFields', 'apiVersion',
  'properties', 'items', 'required', 'pattern', 'enum', 'default', 'additionalProperties',
  'nullable', '__proto__', 'constructor', 'weft.dev/timeout', 'weft.dev/policy',
];
const texts = [
  '', 'web', 'IPv4', 'IPv6', '10.0.0.1', 'fd00::1', 'None', 'TCP', 'UDP', 'HTTPRouteGroup',
  'object',
  'string', 'array', 'integer', 'GET', '*', '500m', '-1', '1e3', '5s', 'enforce', '(', '\u0000',
  '^a+$',
  'x'.repeat(2000), 'specs.smi-spec.io/v1alpha1', '2024-05-06T07:08:09Z', 'ServiceAccount',
];
const numbers = [0, -0, 1, -1, 0.5, 80, 65_536, 1e300, -1e300, Number.MAX_SAFE_INTEGER];

function pick<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('picked from nothing');
  return item;
}

function randomJson(random: Random, depth: number): unknown {
  const dice = random();
  if (depth <= 0 || dice < 0.35) {
    return pick<unknown>([pick(texts, random), pick(numbers, random), random() < 0.5, 0], random);
  }
  if (dice < 0.4) return null;
  const count = Math.floor(random() * 6);
  if (dice < 0.6) return Array.from({ length: count }, () => randomJson(random, depth - 1));
  // fromEntries, so that `__proto__` is a key like any other, as JSON.parse makes it.
  return Object.fromEntries(
    Array.from({ length: count + 2 }, () => [pick(keys, random), randomJson(random, depth - 1)]),
  );
}

function withMetadata(value: unknown): object {
  const fields = typeof value === 'object' && value !== null ? value : {};
  return { ...fields, kind: undefined, metadata: { name: 'x', namespace: 'shop' } };
}

function checkProblems(problems: readonly Problem[]): void {
  if (problems.length > 20) throw new Error('more problems than anybody reads');
  for (const { message } of problems) {
    if (message.length === 0 || message.length > 700) throw new Error(`message: ${message}`);
  }
}

test('no object makes a parser throw, and what is given up is told (seed 7)', () => {
  const random = seededRandom(7);
  const kinds = Object.keys(parsers) as readonly Kind[];
  let saved = 0;
  for (let round = 0; round < 4000; round += 1) {
    const input = withMetadata(randomJson(random, 5));
    const before = JSON.stringify(input);
    for (const kind of kinds) {
      const parsed = parsers[kind](input);
      checkProblems(parsed.problems);
      if (parsed.value !== undefined) saved += 1;
      else if (parsed.problems.length === 0) throw new Error(`${kind} silently gave up ${before}`);
    }
    if (JSON.stringify(input) !== before) throw new Error(`a parser changed ${before}`);
  }
  expect(saved).toBeGreaterThan(10_000);
});

test('no schema and no object make the schema functions throw (seed 8)', () => {
  const random = seededRandom(8);
  let schemas = 0;
  for (let round = 0; round < 4000; round += 1) {
    const input = { ...withMetadata(randomJson(random, 5)), type: 'object' };
    const properties = { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    const { schema } = structuralSchemas.read(round % 2 === 0 ? input : { ...input, properties });
    if (schema === undefined) continue;
    schemas += 1;
    const object = withMetadata(randomJson(random, 4)) as Readonly<Record<string, unknown>>;
    const pruned = structuralSchemas.prune(schema, object);
    const filled = structuralSchemas.fill(schema, pruned.value);
    structuralSchemas.validate(schema, filled, object);
    const again = structuralSchemas.prune(schema, pruned.value);
    if (again.unknown.length > 0) throw new Error('pruned twice');
  }
  expect(schemas).toBeGreaterThan(500);
});

const mesh: MeshSettings = {
  meshNamespace: 'weft-system', meshDomains: ['mesh'], clusterDomain: 'cluster.local',
  watchNamespaces: [], ignoreNamespaces: [], adopt: 'all', policy: 'off', mtls: 'permissive',
  trustDomain: 'cluster.local',
};

test('no text of an annotation makes a resolver throw (seed 9)', () => {
  const random = seededRandom(9);
  const spelled = Object.values(settingTable).flatMap((setting) =>
    setting.spellings.map((spelling) => spelling.key),
  );
  const pieces = ['5s', '10', '%', '@', ':', '/', 'off', 'p95', 'abort=', 'delay=', ',', '(', ')',
    'NetworkErrorRatio', '>', '&&', '0.5', 'hash:header=', ' ', '\n', 'Mi', '-', '=', 'é'];
  for (let round = 0; round < 4000; round += 1) {
    const text = (): string =>
      Array.from({ length: Math.floor(random() * 6) }, () => pick(pieces, random)).join('');
    const annotations = Object.fromEntries(
      Array.from({ length: 6 }, () => [pick(spelled, random), text()]),
    );
    const metadata = { name: 'x', namespace: 'shop', annotations };
    const ports = [{ port: 80, name: text(), appProtocol: text() }];
    const service = parsers.Service({ metadata, spec: { ports } }).value;
    const namespace = parsers.Namespace({ metadata }).value;
    const [port] = service?.ports ?? [];
    if (service === undefined || namespace === undefined || port === undefined) throw new Error();
    checkProblems(resolveServiceSettings(service, namespace).problems);
    checkProblems(resolveNamespace(namespace, mesh).problems);
    checkProblems(trafficTypeOf(service, port, namespace).problems);
    isMeshed(service, namespace, mesh);
  }
});
