// Topology → snapshot: everything resolved that a worker would otherwise have to know – names,
// defaults, which backend takes part for which port. What remains is plain data in sections.
import type { MeshSettings, Problem, ServiceSettings } from '../api/index.ts';
import {
  buildSnapshot,
  type EndpointsSection,
  type PermissionsSection,
  type Section,
  type ServiceRules,
  type Snapshot,
} from '../snapshot/index.ts';
import { hostnamesOf } from './hostnames.ts';
import { sortedProblems } from './problems.ts';
import { routesOf } from './routes.ts';
import type { Built, MeshPort, MeshService, PlannedSplit, Topology } from './topology.ts';

const noSplits: readonly PlannedSplit[] = [];

/** The snapshot of `topology`; `previous` saves work and never changes the value. */
export function compileSnapshot(
  topology: Topology,
  settings: MeshSettings,
  previous?: Snapshot,
): Built<Snapshot> {
  const problems: Problem[] = [];
  const sections = [
    meshSection(topology, settings),
    namespacesSection(topology, settings),
    ...serviceSections(topology, settings, problems),
    ...aliasSections(topology, settings, problems),
    ...endpointsSections(topology, previous),
    ...topology.permissions.map(permissionsSection),
  ];
  return { value: buildSnapshot(sections, previous), problems: sortedProblems(problems) };
}

function meshSection(topology: Topology, settings: MeshSettings): Section {
  const { meshDomains, clusterDomain } = settings;
  const { listeners, addresses } = topology;
  return { kind: 'mesh', meshDomains, clusterDomain, listeners, addresses };
}

function namespacesSection(topology: Topology, settings: MeshSettings): Section {
  return { kind: 'namespaces', defaultPolicy: settings.policy, namespaces: topology.policies };
}

function serviceSections(
  topology: Topology,
  settings: MeshSettings,
  problems: Problem[],
): readonly Section[] {
  const sections: Section[] = [];
  const { services } = topology;
  for (const [root, service] of services) {
    if (!service.isNamed) continue;
    const splits = topology.splits.get(root) ?? noSplits;
    sections.push({
      kind: 'service',
      namespace: service.namespace,
      name: service.name,
      hostnames: hostnamesOf(service, settings),
      aliases: [],
      ports: service.ports.map((port) => ({
        port: port.port,
        protocol: port.protocol,
        routes: routesOf({ root, port, splits, services, problems }),
      })),
      rules: rulesOf(service, settings),
    });
  }
  return sections;
}

/** A host alias is a service of its own, on every HTTP port that one of its backends has. */
function aliasSections(
  topology: Topology,
  settings: MeshSettings,
  problems: Problem[],
): readonly Section[] {
  const { services } = topology;
  return topology.aliases.flatMap((alias): Section[] => {
    const { namespace, name, hostname, fallback: root, splits } = alias;
    const members = [
      ...(root === undefined ? [] : [root]),
      ...splits.flatMap(({ backends }) => backends.map(({ service }) => service)),
    ].flatMap((key) => services.get(key) ?? []);
    const [model] = members;
    if (model === undefined) return [];
    const ports = httpPortsOf(members).map((port) => ({
      port: port.port,
      protocol: port.protocol,
      routes: routesOf({ root, port, splits, services, problems }),
    }));
    const rules = rulesOf(model, settings);
    return [{ kind: 'service', namespace, name, hostnames: [], aliases: [hostname], ports, rules }];
  });
}

function httpPortsOf(services: readonly MeshService[]): readonly MeshPort[] {
  const ports = new Map<number, MeshPort>();
  for (const service of services) {
    for (const port of service.ports) if (port.protocol === 'http') ports.set(port.port, port);
  }
  return [...ports.values()].sort((left, right) => left.port - right.port);
}

function rulesOf(service: MeshService, settings: MeshSettings): ServiceRules {
  const said = service.settings;
  return {
    upstreamHost: upstreamHostOf(service, settings),
    retryAttempts: said.retryAttempts,
    retryOn: said.retryOn,
    retryBudgetPercent: said.retryBudgetPercent,
    timeoutMs: said.timeoutMs,
    connectTimeoutMs: said.connectTimeoutMs,
    idleTimeoutMs: said.idleTimeoutMs,
    perTryTimeoutMs: said.perTryTimeoutMs,
    maxRequestBodyBytes: said.maxRequestBodyBytes,
    isStopped: said.isStopped,
  };
}

function upstreamHostOf(service: MeshService, settings: MeshSettings): string | undefined {
  const said: ServiceSettings['upstreamHost'] = service.settings.upstreamHost;
  if (said === 'preserve') return undefined;
  if (said !== 'service') return said.literal;
  return `${service.name}.${service.namespace}.svc.${settings.clusterDomain}`;
}

/** A section whose backends are those of the previous one is the previous one. */
function endpointsSections(topology: Topology, previous: Snapshot | undefined): readonly Section[] {
  const sections: EndpointsSection[] = [];
  const known = previousEndpoints(previous);
  for (const [key, { namespace, name, backends }] of topology.services) {
    if (backends.length === 0) continue;
    const before = known.get(key);
    if (before?.backends === backends) sections.push(before);
    else sections.push({ kind: 'endpoints', namespace, service: name, backends });
  }
  return sections;
}

function previousEndpoints(
  previous: Snapshot | undefined,
): ReadonlyMap<string, EndpointsSection> {
  const known = new Map<string, EndpointsSection>();
  for (const { section } of previous?.sections.values() ?? []) {
    if (section.kind === 'endpoints') known.set(`${section.namespace}/${section.service}`, section);
  }
  return known;
}

function permissionsSection(entry: Topology['permissions'][number]): PermissionsSection {
  return { kind: 'permissions', ...entry };
}
