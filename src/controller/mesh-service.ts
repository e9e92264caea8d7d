// What the objects of the mesh namespace should be: the mesh Services and ConfigMap
// `weft-addresses`, as pure functions of the allocation (allocatePorts of `topology`), of settings
// and of the addresses that the Services have or had. Which writes that takes is decided by
// comparing field by field: what is ours is compared, what others add is looked through, but for
// ports and data, which are all ours.
import type { MeshSettings } from '../api/index.ts';
import {
  httpServiceName,
  leftAnnotation,
  peersService,
  portNameOf,
  portsAnnotation,
} from '../topology/index.ts';
import type { GivenPort, GivenPorts } from '../topology/index.ts';
import { listAt, textAt, valueAt } from './raw-object.ts';

/** An object as it is applied: exactly the fields that are ours. */
export type Manifest = {
  readonly apiVersion: 'v1';
  readonly kind: 'Service' | 'ConfigMap';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    /** Set: valid only for this version of the object. */
    readonly resourceVersion?: string;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
};

/** Name of a mesh Service → its ClusterIPs. */
export type Addresses = ReadonlyMap<string, readonly string[]>;

export type ManifestInput = {
  readonly settings: MeshSettings;
  /** Where the proxies answer DNS. */
  readonly dnsPort: number;
  readonly given: GivenPorts;
};

const dnsServiceName = 'weft-dns';
export const addressesName = 'weft-addresses';

const labels = { 'app.kubernetes.io/name': 'weft', 'weft.dev/component': 'mesh-service' };
const proxyPods = { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'proxy' };

/** All mesh Services by name. */
export function meshServiceManifests(input: ManifestInput): ReadonlyMap<string, Manifest> {
  const manifests = new Map<string, Manifest>();
  for (const [name, ports] of input.given) {
    manifests.set(name, portServiceManifest(input.settings, name, ports));
  }
  manifests.set(dnsServiceName, dnsManifest(input));
  manifests.set(peersService.name, peersManifest(input.settings));
  return manifests;
}

/** `weft-http` or `weft-l4-<k>`. */
function portServiceManifest(
  settings: MeshSettings,
  name: string,
  ports: readonly GivenPort[],
): Manifest {
  const annotations = {
    // On `weft-http` every port is of all services: there is nothing to say.
    ...(name === httpServiceName ? {} : { [portsAnnotation]: ownersText(ports) }),
    ...(ports.some(isLeft) ? { [leftAnnotation]: leftText(ports) } : {}),
  };
  const manifest = serviceManifest(settings, name, {
    internalTrafficPolicy: 'Local',
    ports: ports.map((port) => ({
      name: portNameOf(port),
      port: port.port,
      protocol: port.transport,
      targetPort: port.targetPort,
    })),
  });
  if (Object.keys(annotations).length === 0) return manifest;
  return { ...manifest, metadata: { ...manifest.metadata, annotations } };
}

function dnsManifest({ settings, dnsPort }: ManifestInput): Manifest {
  return serviceManifest(settings, dnsServiceName, {
    // A node without a proxy still resolves.
    internalTrafficPolicy: 'Cluster',
    trafficDistribution: 'PreferClose',
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP', targetPort: dnsPort },
      { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: dnsPort },
    ],
  });
}

/**
 * Headless: what counts is which address is on which node, and whether its pod declares the port
 * for tunnels – by name, so that pods which do not get slices without it. Without any port the
 * EndpointSlice controller writes the slices over and over: 5 to 9 times for a replaced proxy
 * where four changes are to be told (Kubernetes 1.34, test/kube/endpoint-writes.test.ts).
 */
function peersManifest(settings: MeshSettings): Manifest {
  const { name, portName } = peersService;
  return serviceManifest(settings, name, {
    internalTrafficPolicy: 'Cluster',
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    ports: [{ name: portName, port: 15_008, protocol: 'TCP', targetPort: portName }],
  });
}

function serviceManifest(
  settings: MeshSettings,
  name: string,
  spec: Readonly<Record<string, unknown>>,
): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: settings.meshNamespace, labels },
    spec: {
      type: 'ClusterIP',
      ipFamilyPolicy: 'PreferDualStack',
      sessionAffinity: 'None',
      selector: proxyPods,
      ...spec,
    },
  };
}

/** ConfigMap `weft-addresses`. */
export function addressesManifest(settings: MeshSettings, addresses: Addresses): Manifest {
  const data = [...addresses].map(([name, ips]) => [name, ips.join(',')]);
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: addressesName, namespace: settings.meshNamespace, labels },
    data: Object.fromEntries(data) as Record<string, string>,
  };
}

/** What ConfigMap `weft-addresses` says. */
export function readAddresses(configMap: unknown): Addresses {
  const addresses = new Map<string, readonly string[]>();
  for (const [name, text] of Object.entries(valueAt(configMap, 'data') ?? {})) {
    const ips = typeof text === 'string' ? text.split(',').filter((ip) => ip !== '') : [];
    if (ips.length > 0) addresses.set(name, ips);
  }
  return addresses;
}

/** ClusterIPs of a Service; none before they are allocated, and for headless ones. */
export function clusterIpsOf(service: unknown): readonly string[] {
  const ips = listAt(service, 'spec', 'clusterIPs');
  return ips.filter((ip): ip is string => typeof ip === 'string' && ip !== '' && ip !== 'None');
}

/** `manifest` asking for the ClusterIPs that the Service had. */
export function withAddresses(manifest: Manifest, ips: readonly string[]): Manifest {
  const [clusterIP] = ips;
  if (clusterIP === undefined || manifest.spec?.['clusterIP'] !== undefined) return manifest;
  return { ...manifest, spec: { ...manifest.spec, clusterIP, clusterIPs: ips } };
}

function isLeft({ leftMs }: GivenPort): boolean {
  return leftMs !== undefined;
}

function ownersText(ports: readonly GivenPort[]): string {
  const entries = ports.map(({ transport, port, owner }) => [`${transport}/${port}`, owner]);
  return JSON.stringify(Object.fromEntries(entries));
}

function leftText(ports: readonly GivenPort[]): string {
  const entries = ports.flatMap(({ transport, port, leftMs }) => {
    if (leftMs === undefined) return [];
    const time = new Date(leftMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
    return [[`${transport}/${port}`, time]];
  });
  return JSON.stringify(Object.fromEntries(entries));
}

/** Whether the fields that are ours are as the manifest says, and nothing was added to ports. */
export function isAsDesired(actual: unknown, manifest: unknown): boolean {
  return fingerprint(actual) === fingerprint(manifest);
}

/** The fields that are ours, in one order. */
export function fingerprint(object: unknown): string {
  const ports = listAt(object, 'spec', 'ports').map((port) => [
    valueAt(port, 'port'),
    textAt(port, 'protocol') ?? 'TCP',
    valueAt(port, 'targetPort'),
    textAt(port, 'name'),
  ]);
  return JSON.stringify([
    textAt(object, 'metadata', 'labels', 'app.kubernetes.io/name'),
    textAt(object, 'metadata', 'labels', 'weft.dev/component'),
    textAt(object, 'metadata', 'annotations', portsAnnotation),
    textAt(object, 'metadata', 'annotations', leftAnnotation),
    textAt(object, 'spec', 'type'),
    textAt(object, 'spec', 'internalTrafficPolicy'),
    textAt(object, 'spec', 'ipFamilyPolicy'),
    textAt(object, 'spec', 'sessionAffinity'),
    textAt(object, 'spec', 'trafficDistribution'),
    valueAt(object, 'spec', 'publishNotReadyAddresses') === true,
    textAt(object, 'spec', 'clusterIP') === 'None',
    sortedTexts(Object.entries(valueAt(object, 'spec', 'selector') ?? {})),
    sortedTexts(ports),
    sortedTexts(Object.entries(valueAt(object, 'data') ?? {})),
  ]);
}

function sortedTexts(items: readonly unknown[]): readonly string[] {
  return items.map((item) => JSON.stringify(item)).sort();
}

/** Whether an object that should not be there is one of ours. */
export function isOurs(object: unknown): boolean {
  return Object.entries(labels).every(
    ([key, value]) => textAt(object, 'metadata', 'labels', key) === value,
  );
}

/** A step of a JSON patch (RFC 6902). */
export type PatchStep = {
  readonly op: 'test' | 'remove' | 'replace';
  readonly path: string;
  readonly value?: unknown;
};

/**
 * Server-side apply removes only what we applied before: ports and data that somebody else added
 * have to be taken out by name. Valid only for the very version that was read.
 */
export function foreignPartsPatch(actual: unknown, manifest: unknown): readonly PatchStep[] {
  const ours = new Set(listAt(manifest, 'spec', 'ports').map(portKey));
  const steps: PatchStep[] = [];
  const ports = listAt(actual, 'spec', 'ports');
  for (let index = ports.length - 1; index >= 0; index -= 1) {
    if (ours.has(portKey(ports[index]))) continue;
    steps.push({ op: 'remove', path: `/spec/ports/${index}` });
  }
  for (const key of Object.keys(valueAt(actual, 'data') ?? {})) {
    if (valueAt(manifest, 'data', key) !== undefined) continue;
    // A data key holds neither `~` nor `/`, so the pointer needs no escape.
    steps.push({ op: 'remove', path: `/data/${key}` });
  }
  return steps.length === 0 ? [] : [sameVersion(actual), ...steps];
}

/** For a Service so bent that an apply is refused (a foreign port under a name of ours). */
export function allPortsPatch(actual: unknown, manifest: unknown): readonly PatchStep[] {
  const value = listAt(manifest, 'spec', 'ports');
  return [sameVersion(actual), { op: 'replace', path: '/spec/ports', value }];
}

function sameVersion(actual: unknown): PatchStep {
  const value = textAt(actual, 'metadata', 'resourceVersion') ?? '';
  return { op: 'test', path: '/metadata/resourceVersion', value };
}

/** What server-side apply tells ports apart by. */
function portKey(port: unknown): string {
  return `${textAt(port, 'protocol') ?? 'TCP'}/${String(valueAt(port, 'port'))}`;
}
