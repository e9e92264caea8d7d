// What a request that came by tunnel is for. The caller's node says Service, pod and port; this
// node believes none of it but asks its own table: a live pod of this very node, in the Service's
// own namespace, at an address and port of that Service. So a forged slice, here or there, gains
// nothing: not another namespace's pod, not the node itself, not an address outside.
import type { SectionId, ServiceRules, ShapingRules } from '../snapshot/index.ts';
import { compileOrder } from './split-order.ts';
import type { RouteTable } from './table.ts';
import type { Endpoint, TunnelEnd, TunnelTarget } from './types.ts';

const onlyOne = compileOrder([1]);

/**
 * The pod that `target` names and what goes with it; `undefined`: there is no such pod here
 * (`PodNotHere`).
 */
export function endpointOfTunnel(
  table: RouteTable,
  target: TunnelTarget,
): TunnelEnd | undefined {
  const { namespace, service, port, transport, address, podPort } = target;
  // Section ids as `snapshot` spells them; what the peer sent is only ever looked up.
  const section = `endpoints/${namespace}/${service}` as SectionId;
  const piece = table.endpoints.get(section);
  const backend = (transport === 'udp' ? piece?.udpBackends : piece?.backends)?.get(port);
  const endpoint = backend?.endpoints.find(
    (one) => one.address === address && one.port === podPort,
  );
  if (backend === undefined || endpoint === undefined) return undefined;
  if (!isPodHere(table, endpoint)) return undefined;
  const known = table.services.get(`service/${namespace}/${service}` as SectionId)?.shape.host;
  const host = { namespace, service, rules: rulesHere(known?.rules) };
  const only = { backend: { ...backend, endpoints: [endpoint] }, weight: 1 };
  const key = `tunnel ${backend.id}`;
  return { endpoint, host, split: { key, totalWeight: 1, backends: [only], order: onlyOne } };
}

/** A live pod of this node, of the Service's own namespace. */
function isPodHere({ node }: RouteTable, endpoint: Endpoint): boolean {
  const binding = node.bindings.get(endpoint.address);
  const { namespace, podName, nodeName } = endpoint;
  if (binding?.kind === 'workload') {
    return binding.nodeName === node.nodeName && binding.workload.namespace === namespace;
  }
  // The address is the node's and many things listen there: the pod is the one that a proven slice
  // names, and it has to be in this node's network now.
  if (binding?.kind !== 'infrastructure' || nodeName !== node.nodeName) return false;
  return binding.hostPods?.includes(`${namespace}/${podName}`) === true;
}

/**
 * Retries, time-outs of the whole call and Host: the caller's proxy sees to them. What is tried
 * again here is only what ended on a kept connection that its pod had given up, once (exchange.ts):
 * the caller cannot tell that from a pod that fails.
 */
function rulesHere(rules: ServiceRules | undefined): ServiceRules {
  return {
    upstreamHost: undefined,
    retryAttempts: rules?.retryAttempts === 0 ? 0 : 1,
    retryOn: ['reset'],
    retryBudgetPercent: rules?.retryBudgetPercent ?? 0,
    timeoutMs: undefined,
    perTryTimeoutMs: undefined,
    connectTimeoutMs: rules?.connectTimeoutMs,
    idleTimeoutMs: rules?.idleTimeoutMs,
    maxRequestBodyBytes: rules?.maxRequestBodyBytes,
    isStopped: false,
    shaping: rules?.shaping && shapingHere(rules.shaping),
  };
}

/** Limits hold where the pod is (contract §3); whom to ask, the caller's proxy has chosen. */
function shapingHere(rules: ShapingRules): ShapingRules {
  const { breaker, rateLimit, maxRequests, maxConnections } = rules;
  return { breaker, rateLimit, maxRequests, maxConnections };
}
