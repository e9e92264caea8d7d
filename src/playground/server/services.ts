// What the server decides for a Service: its cluster addresses, node ports and defaults, and which
// specs it refuses. One IPv4 family, addresses from 10.96.0.0/16; nobody routes them here – a
// playground client maps them to its own node's proxy.
import {
  isObject,
  listAt,
  numberAt,
  objectAt,
  sameJson,
  textAt,
  type Json,
  type JsonObject,
} from './json.ts';
import type { KindRules } from './kinds.ts';
import { invalidValue, labelFault, required } from './metadata.ts';
import type { Cause } from './status.ts';
import type { Storage } from './storage.ts';

const collection = '/services';
/** 10.96.0.1 and .10 are the API server's and the cluster DNS's. */
const firstAddress = 11;
const lastAddress = 65_533;
const nodePortMin = 30_000;
const nodePortMax = 32_767;

function addressNumber(index: number): string {
  return `10.96.${Math.floor(index / 256)}.${index % 256}`;
}

/** Addresses and node ports in use, kept by the changes of the store: one look per allocation. */
class Allocations {
  readonly #addresses = new Map<string, number>();
  readonly #nodePorts = new Map<number, number>();
  #nextAddress = firstAddress;

  constructor(storage: Storage) {
    storage.subscribe((change) => {
      if (change.collection !== collection) return;
      if (change.previous !== undefined) this.#count(change.previous, -1);
      if (change.type !== 'DELETED') this.#count(change.object, 1);
    });
  }

  /** The lowest free address that was not given before; then from the start again. */
  address(): string {
    for (let tries = 0; tries < lastAddress; tries += 1) {
      const address = addressNumber(this.#nextAddress);
      this.#nextAddress = this.#nextAddress >= lastAddress ? firstAddress : this.#nextAddress + 1;
      if (!this.#addresses.has(address)) return address;
    }
    return 'None';
  }

  hasAddress(address: string): boolean {
    return this.#addresses.has(address);
  }

  nodePort(own: readonly Json[]): number {
    const mine = new Set(own.map((port) => numberAt(port, 'nodePort') ?? 0));
    for (let port = nodePortMin; port <= nodePortMax; port += 1) {
      if (!this.#nodePorts.has(port) && !mine.has(port)) return port;
    }
    return 0;
  }

  #count(service: JsonObject, step: number): void {
    add(this.#addresses, textAt(service, 'spec', 'clusterIP') ?? '', step);
    for (const port of listAt(service, 'spec', 'ports')) {
      add(this.#nodePorts, numberAt(port, 'nodePort') ?? 0, step);
    }
  }
}

function add<K>(counts: Map<K, number>, key: K, step: number): void {
  const next = (counts.get(key) ?? 0) + step;
  if (next > 0) counts.set(key, next);
  else counts.delete(key);
}

function fillPorts(allocations: Allocations, spec: JsonObject): void {
  const ports = listAt(spec, 'ports');
  const isExposed = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  for (const port of ports) {
    if (!isObject(port)) continue;
    port.protocol ??= 'TCP';
    if (port.targetPort === undefined && port.port !== undefined) port.targetPort = port.port;
    if (isExposed && numberAt(port, 'nodePort') === undefined) {
      port.nodePort = allocations.nodePort(ports);
    }
  }
}

function fillSpec(allocations: Allocations, object: JsonObject): void {
  const spec = objectAt(object, 'spec');
  object.spec = spec;
  object.status ??= { loadBalancer: {} };
  spec.type ??= 'ClusterIP';
  spec.sessionAffinity ??= 'None';
  fillPorts(allocations, spec);
  if (spec.type === 'ExternalName') return;
  spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type !== 'ClusterIP') spec.externalTrafficPolicy ??= 'Cluster';
  spec.ipFamilies ??= ['IPv4'];
  spec.ipFamilyPolicy ??= 'SingleStack';
  const address = textAt(spec, 'clusterIP') ?? '';
  const first = listAt(spec, 'clusterIPs')[0];
  if (address === '') spec.clusterIP = typeof first === 'string' ? first : allocations.address();
  spec.clusterIPs = [textAt(spec, 'clusterIP') ?? ''];
}

function portCauses(port: Json, index: number, isOneOfMany: boolean): readonly Cause[] {
  const field = `spec.ports[${index}]`;
  const causes: Cause[] = [];
  const name = textAt(port, 'name') ?? '';
  if (name === '' && isOneOfMany) causes.push(required(`${field}.name`));
  const why = name === '' ? undefined : labelFault(name);
  if (why !== undefined) causes.push(invalidValue(`${field}.name`, name, why));
  const number = numberAt(port, 'port') ?? 0;
  if (!Number.isInteger(number) || number < 1 || number > 65_535) {
    causes.push(invalidValue(`${field}.port`, number, 'must be between 1 and 65535, inclusive'));
  }
  const protocol = textAt(port, 'protocol') ?? '';
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') {
    causes.push({
      reason: 'FieldValueNotSupported',
      message: `Unsupported value: "${protocol}": supported values: "SCTP", "TCP", "UDP"`,
      field: `${field}.protocol`,
    });
  }
  return causes;
}

function duplicateCauses(ports: readonly Json[]): readonly Cause[] {
  const causes: Cause[] = [];
  const names = new Set<string>();
  const pairs = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const name = textAt(port, 'name') ?? '';
    const pair = `${numberAt(port, 'port') ?? 0}/${textAt(port, 'protocol') ?? ''}`;
    if (name !== '' && names.has(name)) causes.push(duplicate(`spec.ports[${index}].name`, name));
    if (pairs.has(pair)) causes.push(duplicate(`spec.ports[${index}]`, port));
    names.add(name);
    pairs.add(pair);
  }
  return causes;
}

function duplicate(field: string, value: Json): Cause {
  const message = `Duplicate value: ${JSON.stringify(value)}`;
  return { reason: 'FieldValueDuplicate', message, field };
}

function serviceCauses(object: JsonObject, previous: JsonObject | undefined): readonly Cause[] {
  const spec = objectAt(object, 'spec');
  const ports = listAt(spec, 'ports');
  const type = textAt(spec, 'type') ?? '';
  const causes: Cause[] = [];
  const isHeadless = spec.clusterIP === 'None';
  if (ports.length === 0 && type !== 'ExternalName' && !isHeadless) {
    causes.push(required('spec.ports'));
  }
  if (type === 'ExternalName' && (textAt(spec, 'externalName') ?? '') === '') {
    causes.push(required('spec.externalName', 'externalName must be specified'));
  }
  causes.push(...ports.flatMap((port, index) => portCauses(port, index, ports.length > 1)));
  causes.push(...duplicateCauses(ports));
  const was = objectAt(previous, 'spec');
  const wasAddressed =
    previous !== undefined && was.type !== 'ExternalName' && type !== 'ExternalName';
  if (wasAddressed && !sameJson(was.clusterIPs, spec.clusterIPs)) {
    causes.push(
      invalidValue('spec.clusterIPs[0]', listAt(spec, 'clusterIPs'), 'may not change once set'),
    );
  }
  return causes;
}

/** An address that is asked for by name may have been given to another Service. */
function addressCauses(
  allocations: Allocations,
  object: JsonObject,
  previous: JsonObject | undefined,
): readonly Cause[] {
  const address = textAt(object, 'spec', 'clusterIP') ?? '';
  const isKept = textAt(previous, 'spec', 'clusterIP') === address;
  if (address === 'None' || isKept || !allocations.hasAddress(address)) return [];
  const why = `failed to allocate IP ${address}: provided IP is already allocated`;
  return [invalidValue('spec.clusterIPs', listAt(object, 'spec', 'clusterIPs'), why)];
}

/** Rules of core/v1 Service. */
export function serviceRules(storage: Storage): KindRules {
  const allocations = new Allocations(storage);
  return {
    prepareCreate: (object) => fillSpec(allocations, object),
    prepareUpdate: (object, previous) => {
      const spec = objectAt(object, 'spec');
      const was = objectAt(previous, 'spec');
      // A client that does not name the address keeps it.
      if (spec.type !== 'ExternalName' && was.clusterIP !== undefined) {
        spec.clusterIP ??= was.clusterIP;
        if (was.clusterIPs !== undefined) spec.clusterIPs ??= was.clusterIPs;
        if (was.ipFamilies !== undefined) spec.ipFamilies ??= was.ipFamilies;
        if (was.ipFamilyPolicy !== undefined) spec.ipFamilyPolicy ??= was.ipFamilyPolicy;
      }
      fillSpec(allocations, object);
    },
    validate: (object, previous) => [
      ...serviceCauses(object, previous),
      ...addressCauses(allocations, object, previous),
    ],
  };
}
