// How long routing takes per request, and a table per snapshot: a mesh of 1 000 services with 20
// routes each (literals, prefixes, a regex), and one of 10 000 services with 100 000 endpoints.
// Medians of several rounds; the budget of `decide` is 1 µs for literal and prefix matches.
import {
  authorise,
  compileTable,
  decide,
  pickBackend,
  pickEndpoint,
  type RouteTable,
  type Source,
} from '../../src/route/index.ts';
import { seededRandom } from '../../src/lib/random.ts';
import type { AddressBinding, Section } from '../../src/snapshot/index.ts';
import { requestHead } from '../support/request-head.ts';
import {
  endpointsSection,
  matchSpec,
  meshSection,
  namespacesSection,
  nodePart,
  permissionsSection,
  permissionSpec,
  recordsOf,
  routeTo,
  serviceSection,
  splitTo,
  workload,
} from '../support/sections.ts';

/** Literal and prefix paths, as `decide` has to judge them: all 20 before the last route. */
function routesOf(name: string, pathOf: (at: number) => string) {
  const routes = Array.from({ length: 19 }, (_, at) =>
    splitTo(`split ${name}-${at}`, { [name]: 90, [`${name}-v2`]: 10 }, {
      matches: [matchSpec({ pathRegex: pathOf(at), methods: ['GET'] })],
    }),
  );
  return [...routes, routeTo(name)];
}

function meshOf(services: number, pathOf: (at: number) => string): RouteTable {
  const sections: Section[] = [meshSection(), namespacesSection('enforce')];
  for (let at = 0; at < services; at += 1) {
    const name = `shop/web-${at}`;
    sections.push(serviceSection(name, { routes: routesOf(name, pathOf) }));
    sections.push(endpointsSection(name, addressesOf(at, 10)));
    sections.push(
      permissionsSection(name, [
        permissionSpec({
          sources: ['shop/front'],
          http: { ports: [8080], matches: [matchSpec({ pathRegex: '/api/.*' })] },
        }),
      ]),
    );
  }
  const bindings = new Map<string, AddressBinding>();
  for (let at = 0; at < services; at += 1) {
    const pod = workload(`shop/web-${at}`);
    for (const text of addressesOf(at, 10)) {
      const address = text.slice(0, text.indexOf(':'));
      bindings.set(address, { kind: 'workload', isLocal: true, nodeName: 'node-a', workload: pod });
    }
  }
  return compileTable(recordsOf(...sections), nodePart(bindings));
}

function addressesOf(service: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => {
    const number = service * count + at;
    return `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}:8080`;
  });
}

/** Median nanoseconds per call over 9 rounds. */
function nanosecondsOf(calls: number, call: (at: number) => unknown): number {
  let kept: unknown;
  const rounds = Array.from({ length: 9 }, () => {
    const startMs = performance.now();
    for (let at = 0; at < calls; at += 1) kept = call(at);
    return ((performance.now() - startMs) * 1e6) / calls;
  });
  if (kept === undefined) throw new Error('a bench whose calls give nothing measures nothing');
  return rounds.sort((a, b) => a - b)[4] ?? 0;
}

function millisecondsOf(call: () => unknown): number {
  return nanosecondsOf(1, call) / 1e6;
}

function headsOf(services: number, path: (at: number) => string) {
  return Array.from({ length: services }, (_, at) =>
    requestHead({ hostname: `web-${(at * 7) % services}.shop.mesh`, path: path(at) }),
  );
}

type Paths = { readonly matched: (at: number) => string; readonly sent: (at: number) => string };

function decideLine(label: string, { matched, sent }: Paths): string {
  const table = meshOf(1000, matched);
  const heads = headsOf(1000, sent);
  const taken = nanosecondsOf(100_000, (at) => {
    const head = heads[at % 1000];
    return head === undefined ? undefined : decide(table, head);
  });
  return `decide, 1 000 hosts × 20 routes, ${label}: ${taken.toFixed(0)} ns`;
}

function requestLines(): string[] {
  const table = meshOf(1000, (at) => `/api/v${at}/.*`);
  const random = seededRandom(1);
  const head = requestHead({ hostname: 'web-7.shop.mesh', path: '/api/v18/x' });
  const decision = decide(table, head);
  if (decision.kind === 'refuse') throw new Error(decision.reason);
  const { split } = decision;
  const backend = split.backends[0]?.backend;
  if (backend === undefined) throw new Error('no backend');
  const view = { load: () => 1, isExcluded: () => false };
  const endpoint = pickEndpoint(backend, view, random);
  if (endpoint === undefined) throw new Error('no endpoint');
  const who = { namespace: 'shop', serviceAccount: 'front', principal: 'shop/front' };
  const source: Source = { kind: 'workload', ...who, workload: 'front', podName: 'front-1' };
  const backendNs = nanosecondsOf(1_000_000, (at) => pickBackend(split, at));
  const endpointNs = nanosecondsOf(1_000_000, () => pickEndpoint(backend, view, random));
  const verdictNs = nanosecondsOf(1_000_000, () => authorise(table, source, endpoint, head));
  return [
    `pickBackend of 90:10: ${backendNs.toFixed(0)} ns`,
    `pickEndpoint of 10: ${endpointNs.toFixed(0)} ns`,
    `authorise under enforce, prefix path: ${verdictNs.toFixed(0)} ns`,
  ];
}

function tableLines(services: number, endpointsEach: number): string[] {
  const sectionsOf = (first: number): readonly Section[] => {
    const sections: Section[] = [meshSection(), namespacesSection('off')];
    for (let at = 0; at < services; at += 1) {
      sections.push(serviceSection(`shop/web-${at}`));
      const count = at === 0 ? first : endpointsEach;
      sections.push(endpointsSection(`shop/web-${at}`, addressesOf(at, count)));
    }
    return sections;
  };
  const [one, other] = [sectionsOf(endpointsEach), sectionsOf(1)].map((each) => recordsOf(...each));
  if (one === undefined || other === undefined) throw new Error('no records');
  const table = compileTable(one, nodePart());
  const wholeMs = millisecondsOf(() => compileTable(one, nodePart()));
  const changeMs = millisecondsOf(() => compileTable(other, nodePart(), table));
  const size = `${services} services × ${endpointsEach} endpoints`;
  return [
    `compileTable, ${size}: ${wholeMs.toFixed(1)} ms`,
    `compileTable, ${size}, one EndpointSlice changed: ${changeMs.toFixed(1)} ms`,
  ];
}

// A pure measurement; async because every bench is.
export function benchRoute(): Promise<string[]> {
  const lines = [
    decideLine('literal', {
      matched: (at) => `/api/v${at}/items$`,
      sent: (at) => `/api/v${at % 19}/items`,
    }),
    decideLine('prefix', {
      matched: (at) => `/api/v${at}/.*`,
      sent: (at) => `/api/v${at % 19}/x`,
    }),
    decideLine('none matches', { matched: (at) => `/api/v${at}/`, sent: () => '/other' }),
    decideLine('regex', {
      matched: (at) => `/api/v${at}/[a-z]+/x`,
      sent: (at) => `/api/v${at % 19}/a/x`,
    }),
    ...requestLines(),
    ...tableLines(1000, 10),
    ...tableLines(10_000, 10),
  ];
  return Promise.resolve(lines);
}
