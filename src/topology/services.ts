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
} from '../api/index.ts';
import { byText, sortedKeys } from '../lib/order.ts';
import type { BackendSpec } from '../snapshot/index.ts';
import { endpointsOf, isProven, type ExternalCheck } from './endpoints.ts';
import { externalCheck } from './external-address.ts';
import { hostnamesOf } from './hostnames.ts';
import { portsMax } from './limits.ts';
import { problemOf } from './problems.ts';
import { plainPortsOf } from './routes.ts';
import { rulesOf } from './rules.ts';
import type {
  Built,
  MeshPort,
  MeshService,
  ServiceCore,
  ServicePart,
  TopologyMemo,
} from './topology.ts';

/** Parts of all services that the mesh may send requests to, sorted by key. */
export function serviceParts(
  state: ClusterState,
  settings: MeshSettings,
  memo: TopologyMemo | undefined,
): ReadonlyMap<string, ServicePart> {
  const slices = slicesByService(state);
  const checkExternal = externalCheck(state, settings);
  const resolve = sharedSettings();
  const typeOf = sharedTypes();
  const known = memo?.settings === settings ? memo.services : undefined;
  const parts = new Map<string, ServicePart>();
  for (const key of sortedKeys(state.services)) {
    const object = state.services.get(key);
    if (object === undefined) continue;
    const namespace = state.namespaces.get(object.meta.namespace);
    if (!isBackend(object, namespace, settings)) continue;
    const inputs = { object, namespace, slices: slices.get(key) ?? [] };
    const before = known?.get(key);
    const isSame = before !== undefined && isReusable(before, inputs);
    parts.set(
      key,
      isSame ? before : servicePart(inputs, { settings, resolve, typeOf, checkExternal, before }),
    );
  }
  return parts;
}

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
    before.slices.length === inputs.slices.length &&
    before.slices.every((slice, index) => slice === inputs.slices[index])
  );
}

function slicesByService(state: ClusterState): ReadonlyMap<string, readonly EndpointSlice[]> {
  const grouped = new Map<string, EndpointSlice[]>();
  for (const slice of state.endpointSlices.values()) {
    if (slice.serviceName === '') continue;
    const key = `${slice.meta.namespace}/${slice.serviceName}`;
    const others = grouped.get(key);
    if (others === undefined) grouped.set(key, [slice]);
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
    const known = byNamespace.get(meta.namespace) ?? resolveServiceSettings(service, namespace);
    byNamespace.set(meta.namespace, known);
    return known;
  };
}

type TypeSource = typeof trafficTypeOf;

/** The same for what a port speaks: of one namespace, ports that look the same are. */
function sharedTypes(): TypeSource {
  const byLook = new Map<string, ReturnType<TypeSource>>();
  return (service, port, namespace) => {
    const { annotations, labels } = service.meta;
    if (annotations.size + labels.size > 0) return trafficTypeOf(service, port, namespace);
    const { name, protocol, appProtocol = '' } = port;
    const look = `${service.meta.namespace} ${port.port}/${protocol} ${name} ${appProtocol}`;
    const known = byLook.get(look);
    if (known !== undefined) return known;
    const resolved = trafficTypeOf(service, port, namespace);
    // A problem names its Service.
    if (resolved.problems.length === 0) byLook.set(look, resolved);
    return resolved;
  };
}

type PartContext = {
  readonly settings: MeshSettings;
  readonly resolve: SettingsSource;
  readonly typeOf: TypeSource;
  readonly checkExternal: ExternalCheck;
  readonly before: ServicePart | undefined;
};

function servicePart(inputs: PartInputs, context: PartContext): ServicePart {
  const { object, namespace, slices } = inputs;
  const { before } = context;
  const isSameCore = before?.object === object && before.namespace === namespace;
  const core = isSameCore ? before.core : serviceCore(inputs, context);
  const joined = joinEndpoints(inputs, core.value, context.checkExternal);
  return {
    object,
    namespace,
    slices,
    core,
    service: withBackends(core.value, joined.value),
    problems: joined.problems.length > 0 ? [...core.problems, ...joined.problems] : core.problems,
    isReusable: slices.every((slice) => isProven(object, slice)),
  };
}

/** Field by field: spreading objects of this size costs more than all else that is done here. */
function withBackends(core: ServiceCore, backends: readonly BackendSpec[]): MeshService {
  const { namespace, name, isNamed, settings, hostnames, rules, ports, plainPorts } = core;
  return { namespace, name, isNamed, settings, hostnames, rules, ports, plainPorts, backends };
}

/** All of a service that does not depend on its endpoints. */
function serviceCore(inputs: PartInputs, context: PartContext): Built<ServiceCore> {
  const { object, namespace } = inputs;
  const { settings, resolve, typeOf } = context;
  const problems: Problem[] = [];
  const resolved = resolve(object, namespace);
  problems.push(...resolved.problems);
  const served = servedPorts(object, problems);
  const schemes: BackendSpec['scheme'][] = [];
  const ports = served.map((port): MeshPort => {
    const speaks = typeOf(object, port, namespace);
    problems.push(...speaks.problems);
    schemes.push(resolved.value.scheme ?? speaks.scheme);
    return { port: port.port, protocol: speaks.value };
  });
  const value = {
    namespace: object.meta.namespace,
    name: object.meta.name,
    isNamed: isMeshed(object, namespace, settings),
    settings: resolved.value,
    hostnames: hostnamesOf(object.meta, settings),
    rules: rulesOf(object, resolved.value, settings),
    served,
    schemes,
    ports,
    plainPorts: plainPortsOf(object.meta, ports),
  };
  return { value, problems };
}

function joinEndpoints(
  { object, slices }: PartInputs,
  { served, schemes }: ServiceCore,
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
  const backends: BackendSpec[] = [];
  for (const [index, port] of served.entries()) {
    const scheme = schemes[index] ?? 'http';
    const endpoints = endpointsOf(port, input);
    if (port.protocol === 'UDP') {
      backends.push({ endpoints, port: port.port, transport: 'udp', scheme: 'http' });
    } else {
      backends.push({ endpoints, port: port.port, scheme });
    }
  }
  return { value: backends, problems };
}

/** Sorted by number, each number once per transport; SCTP has no place in the mesh. */
function servedPorts(service: Service, problems: Problem[]): readonly ServicePort[] {
  const [only, another] = service.ports;
  if (another === undefined && only !== undefined && only.protocol !== 'SCTP') return [only];
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
