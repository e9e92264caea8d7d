// Services with their ports, settings and endpoints. One Service is looked at with its Namespace
// and its slices only, so its part can be taken over from the previous topology as long as these
// are the same objects: a change in one Service costs the work of one Service.
import {
  isMeshed,
  resolveServiceSettings,
  trafficTypeOf,
  type ClusterState,
  type EndpointSlice,
  type MeshSettings,
  type Namespace,
  type Problem,
  type Service,
  type ServicePort,
  type ServiceSettings,
} from '../api/index.ts';
import { byText, isSameList, withKeysInOrder } from '../lib/order.ts';
import type { BackendSpec, ServiceRules } from '../snapshot/index.ts';
import { endpointsOf, isProven, type ExternalCheck } from './endpoints.ts';
import { externalCheck } from './external-address.ts';
import { hostnamesOf, nameEnds } from './hostnames.ts';
import { portsMax } from './limits.ts';
import { problemOf } from './problems.ts';
import { plainPortsOf } from './routes.ts';
import { podTlsOf, rulesOf } from './rules.ts';
import type {
  Built,
  MeshService,
  ServiceCore,
  ServicePart,
  ServedPort,
  ServicePlan,
} from './topology.ts';

export type ServiceInput = {
  readonly state: ClusterState;
  readonly settings: MeshSettings;
  readonly problems: Problem[];
};

/** All services that the mesh may send requests to. */
export function planServices(input: ServiceInput, previous: ServicePlan | undefined): ServicePlan {
  const parts = serviceParts(input, previous?.parts);
  const services = new Map<string, MeshService>();
  const endpoints: ServicePart['endpoints'][] = [];
  for (const [key, part] of parts) {
    services.set(key, part.core.service);
    if (part.endpoints.backends.length > 0) endpoints.push(part.endpoints);
    if (part.problems.length > 0) input.problems.push(...part.problems);
  }
  const before = previous?.services;
  return { parts, services: isSameMap(services, before) ? before : services, endpoints };
}

/** Endpoints change all the time and nothing else does: then the map is the one that was. */
function isSameMap<T>(
  map: ReadonlyMap<string, T>,
  before: ReadonlyMap<string, T> | undefined,
): before is ReadonlyMap<string, T> {
  if (before?.size !== map.size) return false;
  for (const [key, value] of map) if (before.get(key) !== value) return false;
  return true;
}

function serviceParts(
  { state, settings }: ServiceInput,
  known: ServicePlan['parts'] | undefined,
): ServicePlan['parts'] {
  const slices = slicesByService(state);
  const context: PartContext = {
    settings,
    resolve: sharedSettings(),
    rulesOf: sharedRules(settings),
    spokenBy: sharedPorts(),
    nameEnds: nameEnds(settings),
    checkExternal: externalCheck(state, settings),
  };
  const parts = new Map<string, ServicePart>();
  for (const [key, object] of withKeysInOrder(state.services)) {
    const { namespace: space, name } = object.meta;
    const namespace = state.namespaces.get(space);
    if (!isBackend(object, namespace, settings)) continue;
    const inputs = { object, namespace, slices: slices.get(space)?.get(name) ?? noSlices };
    const before = known?.get(key);
    const isSame = before !== undefined && isReusable(before, inputs);
    parts.set(key, isSame ? before : servicePart(inputs, before, context));
  }
  return parts;
}

const noSlices: readonly EndpointSlice[] = [];

/** A Service that was not adopted may be the backend of a split, unless it was opted out. */
function isBackend(
  service: Service,
  namespace: Namespace | undefined,
  settings: MeshSettings,
): boolean {
  if (settings.adopt === 'all') return isMeshed(service, namespace, settings);
  return isMeshed(service, namespace, { ...settings, adopt: 'all' });
}

type PartInputs = {
  readonly object: Service;
  readonly namespace: Namespace | undefined;
  readonly slices: readonly EndpointSlice[];
};

function isReusable(before: ServicePart, inputs: PartInputs): boolean {
  return (
    before.isReusable &&
    before.object === inputs.object &&
    before.namespace === inputs.namespace &&
    isSameList(before.slices, inputs.slices)
  );
}

/** Namespace → name of the Service → its slices: keys that are there need not be spelled. */
type Slices = ReadonlyMap<string, ReadonlyMap<string, readonly EndpointSlice[]>>;

function slicesByService(state: ClusterState): Slices {
  const grouped = new Map<string, Map<string, EndpointSlice[]>>();
  for (const slice of state.endpointSlices.values()) {
    if (slice.serviceName === '') continue;
    let ofNamespace = grouped.get(slice.meta.namespace);
    if (ofNamespace === undefined) {
      ofNamespace = new Map();
      grouped.set(slice.meta.namespace, ofNamespace);
    }
    const others = ofNamespace.get(slice.serviceName);
    if (others === undefined) ofNamespace.set(slice.serviceName, [slice]);
    else others.push(slice);
  }
  return grouped;
}

type SettingsSource = typeof resolveServiceSettings;

/** Services that say nothing themselves share what their Namespace says: most do. */
function sharedSettings(): SettingsSource {
  const byNamespace = new Map<string, ReturnType<SettingsSource>>();
  return (service, namespace) => {
    const { meta } = service;
    if (meta.annotations.size + meta.labels.size > 0) {
      return resolveServiceSettings(service, namespace);
    }
    const known = byNamespace.get(meta.namespace);
    if (known !== undefined) return known;
    const resolved = resolveServiceSettings(service, namespace);
    // A problem names its Service.
    if (resolved.problems.length === 0) byNamespace.set(meta.namespace, resolved);
    return resolved;
  };
}

/** … and the rules that follow from it, where none of them names the Service. */
function sharedRules(settings: MeshSettings): RulesSource {
  const known = new Map<ServiceSettings, ServiceRules>();
  return (service, said) => {
    if (said.upstreamHost === 'service' || said.mirror !== undefined) {
      return rulesOf(service, said, settings);
    }
    const rules = known.get(said) ?? rulesOf(service, said, settings);
    known.set(said, rules);
    return rules;
  };
}

type RulesSource = (service: Service, said: ServiceSettings) => ServiceRules;

/** What the ports of a service speak, and what is wrong with what was said of that. */
type Spoken = Built<readonly ServedPort[]>;

type PortsSource = (
  served: readonly ServicePort[],
  inputs: PartInputs,
  said: ServiceSettings,
) => Spoken;

/** The same for what ports speak: of one namespace, lonely ports that look the same are. */
function sharedPorts(): PortsSource {
  const byNamespace = new Map<string, { readonly port: ServicePort; readonly spoken: Spoken }>();
  return (served, inputs, said) => {
    const { meta } = inputs.object;
    const [only, another] = served;
    const isShared = another === undefined && meta.annotations.size + meta.labels.size === 0;
    if (only === undefined || !isShared) return spokenPorts(served, inputs, said);
    const known = byNamespace.get(meta.namespace);
    if (known !== undefined && looksAlike(known.port, only)) return known.spoken;
    const spoken = spokenPorts(served, inputs, said);
    // A problem names its Service.
    if (spoken.problems.length === 0) byNamespace.set(meta.namespace, { port: only, spoken });
    return spoken;
  };
}

function looksAlike(left: ServicePort, right: ServicePort): boolean {
  return (
    left.port === right.port &&
    left.protocol === right.protocol &&
    left.name === right.name &&
    left.appProtocol === right.appProtocol
  );
}

function spokenPorts(
  served: readonly ServicePort[],
  { object, namespace }: PartInputs,
  said: ServiceSettings,
): Spoken {
  const problems: Problem[] = [];
  const value = served.map((port): ServedPort => {
    const speaks = trafficTypeOf(object, port, namespace);
    problems.push(...speaks.problems);
    return { port: port.port, protocol: speaks.value, scheme: said.scheme ?? speaks.scheme };
  });
  return { value, problems };
}

type PartContext = {
  readonly settings: MeshSettings;
  readonly resolve: SettingsSource;
  readonly rulesOf: RulesSource;
  readonly spokenBy: PortsSource;
  readonly nameEnds: readonly string[];
  readonly checkExternal: ExternalCheck;
};

function servicePart(
  inputs: PartInputs,
  before: ServicePart | undefined,
  context: PartContext,
): ServicePart {
  const { object, namespace, slices } = inputs;
  const isSameCore = before?.object === object && before.namespace === namespace;
  const core = isSameCore ? before.core : serviceCore(inputs, context);
  const joined = joinEndpoints(inputs, core, context.checkExternal);
  return {
    object,
    namespace,
    slices,
    core,
    endpoints: {
      kind: 'endpoints',
      namespace: object.meta.namespace,
      service: object.meta.name,
      backends: joined.value,
    },
    problems: joined.problems.length > 0 ? [...core.problems, ...joined.problems] : core.problems,
    isReusable: slices.every((slice) => isProven(object, slice)),
  };
}

/** All of a service that does not depend on its endpoints. */
function serviceCore(inputs: PartInputs, context: PartContext): ServiceCore {
  const { object, namespace } = inputs;
  const { meta } = object;
  const resolved = context.resolve(object, namespace);
  const tooMany: Problem[] = [];
  const served = servedPorts(object, tooMany);
  const spoken = context.spokenBy(served, inputs, resolved.value);
  const service: MeshService = {
    namespace: meta.namespace,
    name: meta.name,
    isNamed: isMeshed(object, namespace, context.settings),
    settings: resolved.value,
    ports: spoken.value,
    section: {
      kind: 'service',
      namespace: meta.namespace,
      name: meta.name,
      hostnames: hostnamesOf(meta, context.nameEnds),
      aliases: noNames,
      place: undefined,
      ports: plainPortsOf(meta, spoken.value),
      rules: context.rulesOf(object, resolved.value),
    },
  };
  const problems = [...resolved.problems, ...tooMany, ...spoken.problems];
  const tls = podTlsOf(object, resolved.value, context.settings);
  return { service, served, tls, problems: problems.length > 0 ? problems : noProblems };
}

const noNames: readonly string[] = [];
const noProblems: readonly Problem[] = [];

function joinEndpoints(
  { object, slices }: PartInputs,
  { service, served, tls }: ServiceCore,
  checkExternal: ExternalCheck,
): Built<readonly BackendSpec[]> {
  const problems: Problem[] = [];
  const reportRefused = (slice: EndpointSlice, address: string, why: string): void => {
    const message =
      `address ${address} ${why} and is left out: a slice that the EndpointSlice ` +
      'controller does not manage may name addresses outside the cluster only';
    problems.push(problemOf(slice, 'InvalidObject', message));
  };
  const input = { service: object, slices, checkExternal, reportRefused };
  const value = served.map((port, index): BackendSpec => {
    const endpoints = endpointsOf(port, input);
    if (port.protocol !== 'UDP') {
      const scheme = service.ports[index]?.scheme ?? 'http';
      if (scheme === 'https') return { endpoints, port: port.port, scheme, tls };
      return { endpoints, port: port.port, scheme };
    }
    return { endpoints, port: port.port, transport: 'udp', scheme: 'http' };
  });
  return { value, problems };
}

/** Sorted by number, each number once per transport; SCTP has no place in the mesh. */
function servedPorts(service: Service, problems: Problem[]): readonly ServicePort[] {
  const [only, another] = service.ports;
  if (another === undefined && only?.protocol !== 'SCTP') return service.ports;
  const ports = new Map<string, ServicePort>();
  for (const port of service.ports) {
    const key = `${port.port}/${port.protocol}`;
    if (port.protocol !== 'SCTP' && !ports.has(key)) ports.set(key, port);
  }
  const sorted = [...ports.values()].sort(byPort);
  if (sorted.length > portsMax) {
    const message =
      `has ${sorted.length} ports, of which the mesh serves the lowest ${portsMax}: ` +
      'spread them over several Services';
    problems.push(problemOf(service, 'UnsupportedField', message));
  }
  return sorted.slice(0, portsMax);
}

function byPort(left: ServicePort, right: ServicePort): number {
  return left.port - right.port || byText(left.protocol, right.protocol);
}
