// EndpointSlices → the endpoints of one Service. A slice belongs to a Service by its label, a slice
// port to a Service port by its *name* (Kubernetes resolves named target ports per pod, so one
// Service port may have several numbers here). Ready endpoints serve; where a port has none, those
// that terminate but still serve (KEP-1669), as kube-proxy does.
// Only slices that the EndpointSlice controller made prove a node or a pod; anybody who may write a
// slice can put any name there (contract §3).
import type { EndpointSlice, Service, ServicePort, SliceEndpoint } from '../api/index.ts';
import { addressFamily } from '../lib/address.ts';
import { byText, inOrder } from '../lib/order.ts';
import type { EndpointSpec } from '../snapshot/index.ts';

/** Says why an external address must not be called, or `undefined` when it may. */
export type ExternalCheck = (address: string) => string | undefined;

export type JoinInput = {
  readonly service: Service;
  /** All slices of the service, in any order. */
  readonly slices: readonly EndpointSlice[];
  readonly checkExternal: ExternalCheck;
  readonly reportRefused: (slice: EndpointSlice, address: string, why: string) => void;
};

/** Whether what a slice says about nodes and pods is proven. */
export function isProven(service: Service, slice: EndpointSlice): boolean {
  // The controller leaves Services without selector alone, so a forged label would stay there.
  return slice.isManaged && service.hasSelector;
}

/** The endpoints of one port of the service, sorted by address and port. */
export function endpointsOf(port: ServicePort, input: JoinInput): readonly EndpointSpec[] {
  const collected = { ready: [], terminating: [], input };
  for (const slice of input.slices) {
    for (const { name, protocol, port: number } of slice.ports) {
      if (name !== port.name || protocol !== port.protocol) continue;
      addEndpoints(slice, number, collected);
    }
  }
  const { ready, terminating } = collected;
  const serving: readonly EndpointSpec[] = ready.length > 0 ? ready : terminating;
  if (areAscending(serving)) return onePerPod(serving, input);
  return onePerPod(withoutRepeats(inOrder(serving, byAddress)), input);
}

type Collected = {
  readonly ready: EndpointSpec[];
  readonly terminating: EndpointSpec[];
  readonly input: JoinInput;
};

function addEndpoints(slice: EndpointSlice, port: number, collected: Collected): void {
  const { ready, terminating, input } = collected;
  const isProof = isProven(input.service, slice);
  for (const entry of slice.endpoints) {
    const into = entry.isReady ? ready : isStillServing(entry) ? terminating : undefined;
    const address = entry.addresses[0];
    if (into === undefined || address === undefined) continue;
    if (isProof) {
      const { nodeName = '', podName = '' } = entry;
      into.push({ address, port, nodeName, podName });
    } else if (mayCall(slice, address, input)) {
      into.push({ address, port, nodeName: '', podName: '' });
    }
  }
}

function isStillServing(entry: SliceEndpoint): boolean {
  return entry.isServing && entry.isTerminating;
}

/** What nobody proves must at least be outside the cluster. */
function mayCall(slice: EndpointSlice, address: string, input: JoinInput): boolean {
  const refusal = input.checkExternal(address);
  if (refusal !== undefined) input.reportRefused(slice, address, refusal);
  return refusal === undefined;
}

/** Most are: in order, and none twice. */
function areAscending(endpoints: readonly EndpointSpec[]): boolean {
  let before = '';
  for (const { address } of endpoints) {
    if (before >= address) return false;
    before = address;
  }
  return true;
}

/** An endpoint may stand in two slices for a moment; the one with a proof stays. */
function withoutRepeats(sorted: readonly EndpointSpec[]): readonly EndpointSpec[] {
  return sorted.some(isRepeat) ? sorted.filter((...at) => !isRepeat(...at)) : sorted;
}

function isRepeat(endpoint: EndpointSpec, index: number, sorted: readonly EndpointSpec[]): boolean {
  const before = sorted[index - 1];
  return before?.address === endpoint.address && before.port === endpoint.port;
}

/** A dual-stack pod is in a slice of each family: it is called by the Service's first family. */
function onePerPod(endpoints: readonly EndpointSpec[], input: JoinInput): readonly EndpointSpec[] {
  const { service, slices } = input;
  const [first, second] = slices;
  if (second === undefined) return endpoints;
  if (slices.every(({ addressType }) => addressType === first?.addressType)) return endpoints;
  const family = addressFamily(service.clusterIps[0] ?? '0.0.0.0');
  const reachable = new Set<string>();
  for (const { address, podName, port } of endpoints) {
    if (podName !== '' && addressFamily(address) === family) reachable.add(`${podName} ${port}`);
  }
  return endpoints.filter(
    ({ address, podName, port }) =>
      addressFamily(address) === family || !reachable.has(`${podName} ${port}`),
  );
}

/** By address, then port; of the same two the one that proves its pod comes first. */
function byAddress(left: EndpointSpec, right: EndpointSpec): number {
  return (
    byText(left.address, right.address) ||
    left.port - right.port ||
    byText(right.podName, left.podName) ||
    byText(left.nodeName, right.nodeName)
  );
}
