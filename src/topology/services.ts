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
} from '../api/index.ts';
import type { BackendSpec } from '../snapshot/index.ts';
import { endpointsOf, isProven, type ExternalCheck } from './endpoints.ts';
import { externalCheck } from './external-address.ts';
import { hostnamesOf } from './hostnames.ts';
import { byText, problemOf } from './problems.ts';
import { plainPortsOf } from './routes.ts';
import { rulesOf } from './rules.ts';
import type { Built, MeshPort, ServiceCore, ServicePart, TopologyMemo } from './topology.ts';

/** Parts of all services that the mesh may send requests to, sorted by key. */
export function serviceParts(
  state: ClusterState,
  settings: MeshSettings,
  memo: TopologyMemo | undefined,
): ReadonlyMap<string, ServicePart> {
  const slices = slicesByService(state);
  const checkExternal = externalCheck(state, settings);
  const known = memo?.settings === settings ? memo.services : undefined;
  const parts = new Map<string, ServicePart>();
  for (const key of [...state.services.keys()].sort(byText)) {
    const object = state.services.get(key);
    if (object === undefined) continue;
    const namespace = state.namespaces.get(object.meta.namespace);
    if (!isBackend(object, namespace, settings)) continue;
    const inputs = { object, namespace, slices: slices.get(key) ?? [] };
    const before = known?.get(key);
    const isSame = before !== undefined && isReusable(before, inputs);
    parts.set(key, isSame ? before : servicePart(inputs, { settings, checkExternal, before }));
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

type PartContext = {
  readonly settings: MeshSettings;
  readonly checkExternal: ExternalCheck;
  readonly before: ServicePart | undefined;
};

function servicePart(inputs: PartInputs, context: PartContext): ServicePart {
  const { object, namespace, slices } = inputs;
  const { before } = context;
  const isSameCore = before?.object === object && before.namespace === namespace;
  const core = isSameCore ? before.core : serviceCore(object, namespace, context.settings);
  const joined = joinEndpoints(inputs, core.value.settings.scheme, context.checkExternal);
  return {
    ...inputs,
    core,
    service: { ...core.value, backends: joined.value },
    problems: [...core.problems, ...joined.problems],
    isReusable: slices.every((slice) => isProven(object, slice)),
  };
}

/** All of a service that does not depend on its endpoints. */
function serviceCore(
  object: Service,
  namespace: Namespace | undefined,
  settings: MeshSettings,
): Built<ServiceCore> {
  const problems: Problem[] = [];
  const resolved = resolveServiceSettings(object, namespace);
  problems.push(...resolved.problems);
  const ports = meshPorts(object, namespace, problems);
  const value = {
    namespace: object.meta.namespace,
    name: object.meta.name,
    isNamed: isMeshed(object, namespace, settings),
    settings: resolved.value,
    hostnames: hostnamesOf(object.meta, settings),
    rules: rulesOf(object, resolved.value, settings),
    ports,
    plainPorts: plainPortsOf(object.meta, ports),
  };
  return { value, problems };
}

function joinEndpoints(
  { object, slices }: PartInputs,
  scheme: BackendSpec['scheme'],
  checkExternal: ExternalCheck,
): Built<readonly BackendSpec[]> {
  const problems: Problem[] = [];
  const reportRefused = (slice: EndpointSlice, address: string, why: string): void => {
    const message =
      `address ${address} ${why} and is left out: a slice that the EndpointSlice ` +
      'controller does not manage may name addresses outside the cluster only';
    problems.push(problemOf(slice, 'InvalidObject', message));
  };
  const backends: BackendSpec[] = [];
  for (const port of object.ports) {
    if (port.protocol !== 'TCP' || backends.some((other) => other.port === port.port)) continue;
    const endpoints = endpointsOf(port, { service: object, slices, checkExternal, reportRefused });
    backends.push({ endpoints, port: port.port, scheme });
  }
  return { value: backends.sort(byPort), problems };
}

function meshPorts(
  service: Service,
  namespace: Namespace | undefined,
  problems: Problem[],
): readonly MeshPort[] {
  const ports = new Map<string, MeshPort>();
  for (const port of service.ports) {
    if (port.protocol === 'SCTP') continue;
    const resolved = trafficTypeOf(service, port, namespace);
    problems.push(...resolved.problems);
    const key = `${port.port}/${port.protocol}`;
    if (!ports.has(key)) ports.set(key, { port: port.port, protocol: resolved.value });
  }
  return [...ports.values()].sort(
    (left, right) => left.port - right.port || byText(left.protocol, right.protocol),
  );
}

function byPort(left: { readonly port: number }, right: { readonly port: number }): number {
  return left.port - right.port;
}
