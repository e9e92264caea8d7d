// Which endpoints this node's proxy checks, and what the answers make of them: pure. A pod is
// checked by the proxy of its own node and by no other, and only for Services of its own namespace,
// so that nobody can have the pods of others checked out, or anything asked that is no pod of this
// node. One check per address and port, whatever number of Services name it: the first by name
// says how.
import { endpointId } from '../snapshot/index.ts';
import type {
  EndpointSpec,
  EndpointsSection,
  HealthCheckRule,
  NodePart,
  ServiceSection,
  Snapshot,
} from '../snapshot/index.ts';

export type CheckTarget = {
  /** Of the endpoint; key of its slot. */
  readonly id: string;
  readonly namespace: string;
  readonly service: string;
  readonly address: string;
  readonly port: number;
  /** A pod of HTTP/2 alone is only asked whether it accepts a connection. */
  readonly kind: 'http' | 'connect';
  /** Host of the request. */
  readonly host: string;
  readonly rule: HealthCheckRule;
};

type Sections = Pick<Snapshot, 'sections'>;

/** By the id of the endpoint. */
export function checkTargets(
  { sections }: Sections,
  node: NodePart,
): ReadonlyMap<string, CheckTarget> {
  const targets = new Map<string, CheckTarget>();
  const services = new Map<string, ServiceSection>();
  // Nearly no mesh has checks: the endpoints of all others are not looked at.
  for (const { section } of sections.values()) {
    if (section.kind !== 'service' || section.rules.shaping?.healthCheck === undefined) continue;
    services.set(`${section.namespace}/${section.name}`, section);
  }
  if (services.size === 0) return targets;
  for (const { section } of sections.values()) {
    if (section.kind !== 'endpoints') continue;
    const service = services.get(`${section.namespace}/${section.service}`);
    if (service === undefined) continue;
    for (const target of targetsOf(service, section, node)) {
      if (!targets.has(target.id)) targets.set(target.id, target);
    }
  }
  return targets;
}

function targetsOf(
  service: ServiceSection,
  { backends }: EndpointsSection,
  node: NodePart,
): readonly CheckTarget[] {
  const { namespace, name, rules, hostnames, ports } = service;
  const rule = rules.shaping?.healthCheck;
  if (rule === undefined) return [];
  const isHttp = (port: number): boolean =>
    ports.some((one) => one.port === port && one.protocol === 'http');
  return backends.flatMap(({ port, transport, scheme, endpoints }) => {
    if (transport !== undefined || !isHttp(port)) return [];
    return endpoints
      .filter((endpoint) => isOwnPod(endpoint, namespace, node))
      .map((endpoint) => ({
        id: endpointId(endpoint.address, endpoint.port),
        namespace,
        service: name,
        address: endpoint.address,
        port: endpoint.port,
        kind: scheme === 'http' ? ('http' as const) : ('connect' as const),
        host: rules.upstreamHost ?? hostnames[0] ?? endpoint.address,
        rule,
      }));
  });
}

function isOwnPod({ address, podName }: EndpointSpec, namespace: string, node: NodePart): boolean {
  const binding = node.bindings.get(address);
  if (binding?.kind !== 'workload' || binding.nodeName !== node.nodeName) return false;
  return binding.workload.namespace === namespace && binding.workload.podName === podName;
}

/** Failures in a row after which an endpoint is out; one passing check takes it in again. */
const failuresMax = 2;

export type Health = { readonly isOut: boolean; readonly failures: number };

/** As every endpoint begins: Kubernetes says that its pod is ready. */
export const unknownHealth: Health = { isOut: false, failures: 0 };

export function afterCheck({ isOut, failures }: Health, hasPassed: boolean): Health {
  if (hasPassed) return unknownHealth;
  const inARow = Math.min(failuresMax, failures + 1);
  return { isOut: isOut || inARow >= failuresMax, failures: inARow };
}

const deadlineMinMs = 1_000;
const deadlineMaxMs = 5_000;

/** How long a check may take: as long as its interval, within reason. */
export function checkDeadlineMs({ everyMs }: HealthCheckRule): number {
  return Math.min(deadlineMaxMs, Math.max(deadlineMinMs, everyMs));
}

/** The part of an interval by which checks of one proxy drift apart. */
const jitter = 0.1;

/** From the begin of one check to that of the next; `chance` in [0, 1). */
export function nextCheckMs({ everyMs }: HealthCheckRule, chance: number): number {
  return everyMs * (1 - jitter / 2 + jitter * chance);
}

/** Whether a target is checked as before. */
export function isSameCheck(one: CheckTarget, other: CheckTarget): boolean {
  return one.kind === other.kind && one.host === other.host
    && one.rule.path === other.rule.path && one.rule.everyMs === other.rule.everyMs;
}
