// Service (core/v1) → the part of it that the mesh uses. The API server has validated what arrives
// here; a port that is wrong all the same is left out, the others stay.
import { normaliseAddress } from '../lib/address.ts';
import type { Service, ServicePort, TransportProtocol } from './core.ts';
import { parseObject, type Draft } from './draft.ts';
import { asList, asObject, asPort, asText, describeValue, valueAt } from './json.ts';
import type { JsonObject } from './json.ts';
import type { Parsed } from './object.ts';

const serviceTypes = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;

/** Parses a Service. */
export function parseService(input: unknown): Parsed<Service> {
  return parseObject('Service', input, (draft) => {
    const spec = asObject(valueAt(draft.root, 'spec'));
    const said = valueAt(spec, 'type') ?? 'ClusterIP';
    const type = serviceTypes.find((known) => known === said);
    if (type === undefined) {
      const known = serviceTypes.join(', ');
      const message = `spec.type is ${describeValue(said)}: write one of ${known}`;
      draft.report('InvalidObject', message);
      return undefined;
    }
    const claimed = claimedIps(spec);
    return {
      kind: 'Service',
      meta: draft.meta,
      type,
      clusterIps: claimed.flatMap((text) => normaliseAddress(text) ?? []),
      isHeadless: claimed.includes('None'),
      hasSelector: Object.keys(asObject(valueAt(spec, 'selector')) ?? {}).length > 0,
      ports: readPorts(draft, valueAt(spec, 'ports')),
    };
  });
}

function claimedIps(spec: JsonObject | undefined): readonly string[] {
  const list = asList(valueAt(spec, 'clusterIPs'));
  if (list !== undefined) return list.flatMap((item) => asText(item) ?? []);
  const single = asText(valueAt(spec, 'clusterIP'));
  return single === undefined || single === '' ? [] : [single];
}

function readPorts(draft: Draft, value: unknown): readonly ServicePort[] {
  const ports: ServicePort[] = [];
  for (const [index, item] of (asList(value) ?? []).entries()) {
    const entry = asObject(item);
    const port = asPort(valueAt(entry, 'port'));
    const protocol = readProtocol(valueAt(entry, 'protocol'));
    if (port === undefined || protocol === undefined) {
      draft.report('InvalidObject', `spec.ports[${index}] is no port: give port and protocol`);
      continue;
    }
    ports.push({
      name: asText(valueAt(entry, 'name')) ?? '',
      port,
      protocol,
      appProtocol: asText(valueAt(entry, 'appProtocol')),
      targetPort: readTargetPort(valueAt(entry, 'targetPort')) ?? port,
    });
  }
  return ports;
}

/** TCP when absent, as Kubernetes defaults it; `undefined` for what is no protocol. */
export function readProtocol(value: unknown): TransportProtocol | undefined {
  if (value === undefined || value === null || value === '') return 'TCP';
  return value === 'TCP' || value === 'UDP' || value === 'SCTP' ? value : undefined;
}

/** A port number, or the name of a container port; absent (0, empty) means the Service port. */
function readTargetPort(value: unknown): number | string | undefined {
  if (typeof value === 'string' && value !== '') return value;
  return asPort(value);
}
