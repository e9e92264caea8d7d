// EndpointSlice (discovery.k8s.io/v1) → ports and endpoints with normalised addresses. Absent
// conditions mean what Kubernetes says they mean: `ready` absent is true, `serving` absent is
// `ready`, `terminating` absent is false.
import { addressFamily, normaliseAddress } from '../lib/address.ts';
import type { EndpointSlice, SliceEndpoint, SlicePort } from './core.ts';
import { parseObject, type Draft } from './draft.ts';
import { asList, asObject, asPort, asText, describeValue, valueAt } from './json.ts';
import type { JsonObject } from './json.ts';
import type { Parsed } from './object.ts';
import { readProtocol } from './parse-service.ts';

const serviceNameLabel = 'kubernetes.io/service-name';
const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
const sliceController = 'endpointslice-controller.k8s.io';

type Family = EndpointSlice['addressType'];

/** Parses an EndpointSlice. */
export function parseEndpointSlice(input: unknown): Parsed<EndpointSlice> {
  return parseObject('EndpointSlice', input, (draft) => {
    const addressType = valueAt(draft.root, 'addressType');
    if (addressType !== 'IPv4' && addressType !== 'IPv6') {
      const shown = describeValue(addressType);
      draft.report('UnsupportedField', `addressType is ${shown}: only IPv4 and IPv6 are served`);
      return undefined;
    }
    // Labels other than the mesh's own are pruned, so managed-by is read here.
    const labels = asObject(valueAt(asObject(valueAt(draft.root, 'metadata')), 'labels'));
    return {
      kind: 'EndpointSlice',
      meta: draft.meta,
      serviceName: draft.meta.labels.get(serviceNameLabel) ?? '',
      isManaged: valueAt(labels, managedByLabel) === sliceController,
      addressType,
      ports: readPorts(draft),
      endpoints: readEndpoints(draft, addressType),
    };
  });
}

function readPorts(draft: Draft): readonly SlicePort[] {
  const ports: SlicePort[] = [];
  for (const [index, item] of (asList(valueAt(draft.root, 'ports')) ?? []).entries()) {
    const entry = asObject(item);
    const port = asPort(valueAt(entry, 'port'));
    const protocol = readProtocol(valueAt(entry, 'protocol'));
    if (port === undefined || protocol === undefined) {
      draft.report('InvalidObject', `ports[${index}] has no port number: it is left out`);
      continue;
    }
    ports.push({ name: asText(valueAt(entry, 'name')) ?? '', port, protocol });
  }
  return ports;
}

function readEndpoints(draft: Draft, family: Family): readonly SliceEndpoint[] {
  const endpoints: SliceEndpoint[] = [];
  for (const [index, item] of (asList(valueAt(draft.root, 'endpoints')) ?? []).entries()) {
    const entry = asObject(item);
    const addresses = readAddresses(valueAt(entry, 'addresses'), family);
    if (entry === undefined || addresses.length === 0) {
      const what = `endpoints[${index}] has no ${family} address`;
      draft.report('InvalidObject', `${what}: it is left out`);
      continue;
    }
    endpoints.push(readEndpoint(draft, entry, addresses));
  }
  return endpoints;
}

function readAddresses(value: unknown, family: Family): readonly string[] {
  const addresses: string[] = [];
  for (const item of asList(value) ?? []) {
    const address = typeof item === 'string' ? normaliseAddress(item) : undefined;
    if (address !== undefined && addressFamily(address) === family) addresses.push(address);
  }
  return addresses;
}

function readEndpoint(
  draft: Draft,
  entry: JsonObject,
  addresses: readonly string[],
): SliceEndpoint {
  const conditions = asObject(valueAt(entry, 'conditions'));
  const isReady = valueAt(conditions, 'ready') !== false;
  const serving = valueAt(conditions, 'serving');
  const target = asObject(valueAt(entry, 'targetRef'));
  const isPod = valueAt(target, 'kind') === 'Pod';
  const namespace = asText(valueAt(target, 'namespace')) ?? draft.meta.namespace;
  return {
    addresses,
    isReady,
    isServing: typeof serving === 'boolean' ? serving : isReady,
    isTerminating: valueAt(conditions, 'terminating') === true,
    nodeName: asText(valueAt(entry, 'nodeName')),
    // A slice cannot speak of pods of other namespaces.
    podName:
      isPod && namespace === draft.meta.namespace ? asText(valueAt(target, 'name')) : undefined,
  };
}
