// Laws of the route table (A2, A3): whatever came before, and in whatever order sections arrive, a
// table is the one that would be compiled from nothing; and what came before is never changed.
// Random meshes from one seed: services, aliases that collide, splits, endpoints, permissions.
import { expect, test } from 'vitest';
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom, shuffled } from '../../src/lib/random.ts';
import { compileTable, decide, type RouteTable } from '../../src/route/index.ts';
import type { Section } from '../../src/snapshot/index.ts';
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
} from '../support/sections.ts';

const names = ['shop/a', 'shop/b', 'shop/c', 'vault/a', 'constructor/__proto__'];

function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

function nameOf(random: Random): string {
  return names[below(random, names.length)] ?? 'shop/a';
}

function randomMesh(random: Random): readonly Section[] {
  const sections: Section[] = [];
  if (random() < 0.9) sections.push(meshSection({ addresses: [`10.96.0.${below(random, 3)}`] }));
  if (random() < 0.9) sections.push(namespacesSection(random() < 0.5 ? 'off' : 'enforce'));
  for (const name of names) {
    if (random() < 0.7) sections.push(randomService(name, random));
    if (random() < 0.7) {
      const addresses = Array.from({ length: below(random, 3) }, (_, at) => `10.1.0.${at}:80`);
      sections.push(endpointsSection(name, addresses, random() < 0.9 ? 80 : 81));
    }
    if (random() < 0.4) {
      const sources = [nameOf(random)];
      const http = { ports: undefined, matches: undefined };
      sections.push(permissionsSection(name, [permissionSpec({ sources, http })]));
    }
  }
  return sections;
}

function randomService(name: string, random: Random): Section {
  const matches = [matchSpec({ pathRegex: `/v${below(random, 3)}/.*` })];
  const split = splitTo(`split ${name}`, { [nameOf(random)]: below(random, 3) }, { matches });
  const routes = random() < 0.5 ? [split, routeTo(name)] : [routeTo(name)];
  const aliases = random() < 0.5 ? [`alias-${below(random, 2)}.example.com`] : [];
  return serviceSection(name, { routes, aliases });
}

/** What a table holds, whatever the order in which its maps were filled. */
function contentOf(table: RouteTable): string {
  return JSON.stringify(table, (_, value: unknown) => {
    if (value instanceof Set) return [...value].map(String).sort();
    if (!(value instanceof Map)) return value;
    return [...value].sort(([left], [right]) => (String(left) < String(right) ? -1 : 1));
  });
}

/** Where the table sends a request for every name that there can be. */
function decisionsOf(table: RouteTable): readonly string[] {
  const hostnames = names.map((name) => `${name.split('/').reverse().join('.')}.mesh`);
  return [...hostnames, 'alias-0.example.com', 'alias-1.example.com'].flatMap((hostname) =>
    ['/v0/x', '/v1/x', '/'].map((path) =>
      JSON.stringify(decide(table, requestHead({ hostname, path }))),
    ),
  );
}

test('a table after any history is the one compiled from nothing (seed 41)', () => {
  const random = seededRandom(41);
  let table: RouteTable | undefined;
  for (let round = 0; round < 400; round += 1) {
    const records = recordsOf(...randomMesh(random));
    const shuffledRecords = new Map(shuffled([...records], random));
    const before: RouteTable | undefined = table;
    const content = before && contentOf(before);
    table = compileTable(shuffledRecords, nodePart(), before);
    const fresh = compileTable(records, nodePart());
    expect(contentOf(table)).toBe(contentOf(fresh));
    expect(decisionsOf(table)).toEqual(decisionsOf(fresh));
    expect(before && contentOf(before)).toBe(content);
  }
});
