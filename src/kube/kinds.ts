// The kinds that a mesh watches: where the API server keeps them and which of their versions we can
// read, newest first. How they are parsed is the table in `api`.
import type { WatchedKind } from './store.ts';
import type { WantedResource } from './discovery.ts';

const smiVersions = ['v1alpha4', 'v1alpha3', 'v1alpha2', 'v1alpha1'];

export const watchedResources: { readonly [K in WatchedKind]: WantedResource } = {
  Service: { group: '', plural: 'services', versions: ['v1'] },
  EndpointSlice: { group: 'discovery.k8s.io', plural: 'endpointslices', versions: ['v1'] },
  Pod: { group: '', plural: 'pods', versions: ['v1'] },
  Node: { group: '', plural: 'nodes', versions: ['v1'] },
  Namespace: { group: '', plural: 'namespaces', versions: ['v1'] },
  TrafficTarget: {
    group: 'access.smi-spec.io',
    plural: 'traffictargets',
    versions: ['v1alpha3', 'v1alpha2', 'v1alpha1'],
  },
  HTTPRouteGroup: { group: 'specs.smi-spec.io', plural: 'httproutegroups', versions: smiVersions },
  TCPRoute: { group: 'specs.smi-spec.io', plural: 'tcproutes', versions: smiVersions },
  UDPRoute: { group: 'specs.smi-spec.io', plural: 'udproutes', versions: ['v1alpha4'] },
  TrafficSplit: { group: 'split.smi-spec.io', plural: 'trafficsplits', versions: smiVersions },
};

// The cast is of the keys of a record whose type lists them all.
export const watchedKinds = Object.keys(watchedResources) as readonly WatchedKind[];
