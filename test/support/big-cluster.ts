// Large clusters for measurements and laws, made from nothing but numbers: the same sizes give the
// same objects.
import type {
  ClusterState,
  EndpointSlice,
  HttpRouteGroup,
  TrafficSplit,
  TrafficTarget,
} from '../../src/api/index.ts';
import { byText } from '../../src/lib/order.ts';
import {
  entryOf,
  groupOf,
  metaOf,
  namespaceOf,
  serviceOf,
  sliceOf,
  splitOf,
  stateOf,
  targetOf,
  type AnyObject,
} from './builders.ts';

export type ClusterSize = {
  readonly services: number;
  readonly endpointsPerService: number;
  readonly splits: number;
  readonly targets: number;
};

/** Services in namespaces of fifty, each with one slice; splits and targets spread over them. */
export function bigCluster(size: ClusterSize): ClusterState {
  const objects: AnyObject[] = [];
  for (let index = 0; index < size.services; index += 1) {
    const path = servicePath(index);
    if (index % 50 === 0)
      objects.push(namespaceOf(namespaceAt(index), { 'weft.dev/policy': 'enforce' }));
    objects.push(serviceOf(path), bigSlice(path, index, size.endpointsPerService));
  }
  for (let index = 0; index < size.splits; index += 1) objects.push(bigSplit(index, size));
  for (let index = 0; index < size.targets; index += 1) {
    objects.push(bigGroup(index, size), bigTarget(index, size));
  }
  return stateOf(...objects.sort(asListed));
}

/** An API server lists the objects of a kind by namespace and name. */
function asListed({ meta: left }: AnyObject, { meta: right }: AnyObject): number {
  return byText(`${left.namespace}/${left.name}`, `${right.namespace}/${right.name}`);
}

export function servicePath(index: number): string {
  return `${namespaceAt(index)}/service-${index}`;
}

/** The slice of service number `index` with `count` endpoints. */
export function bigSlice(path: string, index: number, count: number): EndpointSlice {
  const endpoints = Array.from({ length: count }, (_, pod) => {
    const number = index * count + pod;
    const address = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
    const nodeName = `node-${number % 100}`;
    return entryOf(address, { nodeName, podName: `service-${index}-7d9c5b8f6d-${number}` });
  });
  return sliceOf(path, { endpoints });
}

function namespaceAt(index: number): string {
  return `team-${Math.floor(index / 50)}`;
}

function bigSplit(index: number, size: ClusterSize): TrafficSplit {
  const root = (index * 2) % size.services;
  const name = (at: number): string => `service-${at}`;
  const other = root % 50 === 49 ? root - 1 : root + 1;
  return splitOf(`${namespaceAt(root)}/split-${index}`, name(root), {
    [name(root)]: 90,
    [name(other)]: 10,
  });
}

function bigGroup(index: number, size: ClusterSize): HttpRouteGroup {
  const path = `${namespaceAt(index % size.services)}/routes-${index}`;
  return groupOf(path, [
    { name: 'api', pathRegex: `/api/v${index % 7}/.*`, methods: ['GET', 'POST'] },
    { name: 'metrics', pathRegex: '/metrics', methods: ['GET'] },
  ]);
}

function bigTarget(index: number, size: ClusterSize): TrafficTarget {
  const service = index % size.services;
  const namespace = namespaceAt(service);
  const sources = [
    `${namespace}/front`,
    `${namespaceAt((service * 7) % size.services)}/caller-${index % 50}`,
  ];
  const rules = [{ kind: 'HTTPRouteGroup' as const, name: `routes-${index}`, matches: undefined }];
  const meta = metaOf(`${namespace}/target-${index}`);
  return targetOf(`${namespace}/target-${index}`, `service-${service}`, sources, { meta, rules });
}
