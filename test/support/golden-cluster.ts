// The cluster of a golden case: YAML → ClusterState by the production parsers. A document is one
// object, or `objects` (a list of them) and `apps`, shorthand for what nearly every case needs: a
// Service, its slice and its pods.
import { parseAllDocuments } from 'yaml';
import {
  parsers,
  type ClusterState,
  type Kind,
  type KindTypes,
  type Parsed,
  type Problem,
} from '../../src/api/index.ts';
import { stateOf, type AnyObject } from './builders.ts';

type Json = Readonly<Record<string, unknown>>;

/** One entry of `apps`; everything has a default. */
type App = {
  /** `80`, `80>8080` (port > pod port), `http 80>8080` (name too), `53/udp`; default `80>8080`. */
  readonly ports?: readonly (string | number)[];
  readonly pods?: number;
  /** Service account; default: the name of the app. */
  readonly account?: string;
  /** Added to `spec` of the Service. */
  readonly spec?: Json;
  readonly annotations?: Json;
};

/** What the documents say, and the problems of parsing them. */
export function clusterFromYaml(text: string): ClusterState {
  const objects: AnyObject[] = [];
  const problems: Problem[] = [];
  for (const json of documentsOf(text).flatMap(expanded)) {
    const parsed = parsedObject(json);
    problems.push(...parsed.problems);
    if (parsed.value !== undefined) objects.push(parsed.value);
  }
  return { ...stateOf(...objects), problems };
}

function documentsOf(text: string): readonly Json[] {
  return parseAllDocuments(text).flatMap((document) => {
    for (const error of document.errors) throw error;
    const value: unknown = document.toJS({ maxAliasCount: 0 });
    if (Array.isArray(value)) return value as readonly Json[];
    return value === null || value === undefined ? [] : [value as Json];
  });
}

function expanded(json: Json): readonly Json[] {
  if (json['kind'] !== undefined) return [json];
  // Test input; a wrong shorthand shows at once as a wrong case.
  const apps = Object.entries((json['apps'] ?? {}) as Readonly<Record<string, App | null>>);
  const objects = (json['objects'] ?? []) as readonly Json[];
  return [...apps.flatMap(([path, app], index) => expandApp(path, app ?? {}, index)), ...objects];
}

function expandApp(path: string, app: App, index: number): readonly Json[] {
  const [namespace = '', name = ''] = path.split('/');
  const ports = (app.ports ?? ['80>8080']).map(readPort);
  const pods = Array.from({ length: app.pods ?? 1 }, (_, pod) => ({
    name: `${name}-${pod + 1}`,
    address: `10.1.${index}.${pod + 1}`,
  }));
  const metadata = { namespace, name, annotations: app.annotations ?? {} };
  return [
    { kind: 'Service', metadata, spec: serviceSpec(name, ports, app) },
    {
      kind: 'EndpointSlice',
      metadata: { namespace, name: `${name}-1`, labels: managedLabels(name) },
      addressType: 'IPv4',
      ports: ports.map(({ label, target, protocol }) => ({ name: label, port: target, protocol })),
      endpoints: pods.map((pod) => ({
        addresses: [pod.address],
        nodeName: 'node-1',
        targetRef: { kind: 'Pod', name: pod.name },
      })),
    },
    ...pods.map((pod) => podJson({ namespace, ...pod, account: app.account ?? name, owner: name })),
  ];
}

type PortText = {
  readonly label: string;
  readonly port: number;
  readonly target: number;
  readonly protocol: 'TCP' | 'UDP';
};

function readPort(text: string | number): PortText {
  const found = /^(?:(\S+) )?(\d+)(?:>(\d+))?(\/udp)?$/.exec(String(text));
  if (found === null) throw new Error(`no port: ${text}`);
  const [, label = `p${found[2]}${found[4]?.slice(1) ?? ''}`, port, target = port, udp] = found;
  const protocol = udp === undefined ? 'TCP' : 'UDP';
  return { label, port: Number(port), target: Number(target), protocol };
}

function serviceSpec(name: string, ports: readonly PortText[], app: App): Json {
  const listed = ports.map(({ label, port, target, protocol }) => ({
    name: label,
    port,
    targetPort: target,
    protocol,
  }));
  return { selector: { app: name }, ports: listed, ...app.spec };
}

function managedLabels(service: string): Json {
  return {
    'kubernetes.io/service-name': service,
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
  };
}

type PodFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly account: string;
  readonly owner: string;
};

function podJson({ namespace, name, address, account, owner }: PodFacts): Json {
  const ownerReferences = [{ kind: 'StatefulSet', name: owner, controller: true }];
  return {
    kind: 'Pod',
    metadata: { namespace, name, uid: `${namespace}/${name}`, ownerReferences },
    spec: { nodeName: 'node-1', serviceAccountName: account },
    status: { phase: 'Running', podIPs: [{ ip: address }] },
  };
}

function parsedObject(json: Json): Parsed<AnyObject> {
  const kind = String(json['kind']);
  if (!Object.hasOwn(parsers, kind)) throw new Error(`no parser for kind ${kind}`);
  // The key was checked on the line above.
  return parse(kind as Kind, json);
}

function parse<K extends Kind>(kind: K, json: Json): Parsed<KindTypes[K]> {
  return parsers[kind](json);
}
