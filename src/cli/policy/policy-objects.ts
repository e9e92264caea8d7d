// Objects as the API server has them → what NetworkPolicies are judged by. Labels are read here,
// all of them: the parsers of `api` keep only those that the mesh itself goes by. Pure.
import {
  isMeshed,
  parsers,
  resolveNamespace,
  type MeshSettings,
  type Namespace,
  type NetworkPolicy,
  type Node,
  type Service,
} from '../../api/index.ts';
import { normaliseAddress } from '../../lib/address.ts';
import { listAt, textAt, valueAt } from '../../lib/raw-object.ts';
import { givenPortsOf, portServiceNames } from '../../topology/index.ts';
import type { Labels, PolicyBackend, PolicyPlace, PolicyView } from './policy-view.ts';

export type LabelledNamespace = { readonly namespace: Namespace; readonly labels: Labels };

/** What was read; `undefined` is what was no such object, or does not count. */
export type PolicyParts = {
  readonly namespaces: readonly (LabelledNamespace | undefined)[];
  readonly places: readonly (PolicyPlace | undefined)[];
  readonly nodes: readonly (Node | undefined)[];
  readonly services: readonly (Service | undefined)[];
  /** Of any Service, in the mesh or not. */
  readonly backends: readonly PolicyBackend[];
  readonly policies: readonly (NetworkPolicy | undefined)[];
};

export function joinView(settings: MeshSettings, parts: PolicyParts): PolicyView {
  const { meshNamespace } = settings;
  const namespaces = new Map(
    parts.namespaces.filter(isThere).map((one) => [one.namespace.meta.name, one]),
  );
  const services = parts.services.filter(isThere);
  const meshed = new Set(
    services
      .filter((one) => isMeshed(one, namespaces.get(one.meta.namespace)?.namespace, settings))
      .map(({ meta }) => `${meta.namespace}/${meta.name}`),
  );
  const given = new Set(portServiceNames());
  const own = services.filter(
    ({ meta }) => meta.namespace === meshNamespace && given.has(meta.name),
  );
  return {
    meshNamespace,
    namespaces: new Map(
      [...namespaces].map(([name, { namespace, labels }]) => {
        const { policy } = resolveNamespace(namespace, settings).value;
        return [name, { labels, policy }];
      }),
    ),
    nodeAddresses: [...new Set(parts.nodes.filter(isThere).flatMap((one) => one.addresses))],
    policies: parts.policies.filter(isThere),
    places: new Map(
      parts.places.filter(isThere).map((one) => [`${one.namespace}/${one.name}`, one]),
    ),
    backends: parts.backends.filter((one) => meshed.has(`${one.namespace}/${one.service}`)),
    proxyPorts: own
      .flatMap(givenPortsOf)
      .map(({ transport, targetPort }) => ({ protocol: transport, port: targetPort })),
  };
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}

export function namespaceOf(object: unknown): LabelledNamespace | undefined {
  const namespace = parsers.Namespace(object).value;
  return namespace === undefined ? undefined : { namespace, labels: labelsOf(object) };
}

function labelsOf(object: unknown): Labels {
  const labels = valueAt(object, 'metadata', 'labels');
  const entries = typeof labels === 'object' && labels !== null ? Object.entries(labels) : [];
  return new Map(
    entries.flatMap(([key, value]) => (typeof value === 'string' ? [[key, value] as const] : [])),
  );
}

/** `undefined` for a pod that has ended: its address is somebody else's by now. */
export function placeOf(object: unknown): PolicyPlace | undefined {
  const phase = textAt(object, 'status', 'phase');
  if (phase === 'Succeeded' || phase === 'Failed') return undefined;
  const addresses = listAt(object, 'status', 'podIPs').flatMap((one) => {
    const address = normaliseAddress(textAt(one, 'ip') ?? '');
    return address === undefined ? [] : [address];
  });
  const containers = [
    ...listAt(object, 'spec', 'containers'),
    ...listAt(object, 'spec', 'initContainers'),
  ];
  const ports = containers.flatMap((one) => listAt(one, 'ports'));
  const named = ports.flatMap((one): readonly [string, number][] => {
    const [name, port] = [textAt(one, 'name'), valueAt(one, 'containerPort')];
    if (name === undefined || typeof port !== 'number') return [];
    return [[`${textAt(one, 'protocol') ?? 'TCP'}/${name}`, port]];
  });
  return {
    namespace: textAt(object, 'metadata', 'namespace') ?? '',
    name: textAt(object, 'metadata', 'name') ?? '',
    labels: labelsOf(object),
    addresses,
    isHostNetwork: valueAt(object, 'spec', 'hostNetwork') === true,
    namedPorts: new Map(named),
  };
}

/** Of any Service: pods that a slice of the EndpointSlice controller names. */
export function backendsOf(object: unknown): readonly PolicyBackend[] {
  const slice = parsers.EndpointSlice(object).value;
  if (slice === undefined || slice.serviceName === '' || !slice.isManaged) return [];
  const { namespace } = slice.meta;
  return slice.endpoints.flatMap(({ podName }) => {
    if (podName === undefined) return [];
    return slice.ports.map(({ port, protocol }) => ({
      namespace,
      service: slice.serviceName,
      pod: podName,
      port,
      protocol,
    }));
  });
}
