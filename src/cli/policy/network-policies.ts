// The NetworkPolicies that make a namespace *enforced*, and what the ones that are there already
// mean to the mesh: which keep its calls out (`blocks`), which leave a way past it (`bypassed`:
// they add up with ours), and which say less than before about who may call, because calls through
// the mesh arrive from a proxy (`widened`: TrafficTargets decide about them). Pure: nothing is
// applied.
import type { NetworkPolicy, PolicyMode } from '../../api/index.ts';
import { blockOf } from './address-block.ts';
import { isOurs, peerText, stateOf, type Enforcement } from './enforcement.ts';
import {
  blockersOf,
  policiesOf,
  proxyLabels,
  proxyPlace,
  type Direction,
  type PlacePort,
  type PolicyFlow,
  type PolicyPlace,
  type PolicyView,
} from './policy-view.ts';

export type PolicyEffect = {
  /** `namespace/name`. */
  readonly policy: string;
  readonly effect: 'blocks' | 'bypassed' | 'widened';
  /** One sentence, and what to do. */
  readonly message: string;
};

/** For `kubectl apply`. */
export type PolicyManifest = Readonly<Record<string, unknown>>;

export type PolicyPlan = {
  readonly namespace: string;
  /** Of the namespace: only `enforce` refuses anybody. */
  readonly policy: PolicyMode;
  /** As it is now. */
  readonly state: Enforcement['state'];
  readonly gaps: Enforcement['gaps'];
  readonly manifests: readonly PolicyManifest[];
  readonly existing: readonly PolicyEffect[];
};

/** Names of what is printed begin so: printed again, they are not judged as others'. */
const ours = 'weft-';
/** Ports of the proxies, both ends included (contract §1, "Listener ports"). */
const httpPorts = { first: 15_100, last: 15_999 };
const flowPorts = { first: 20_000, last: 29_999 };
const tunnelPort = 15_008;
const dnsPort = 15_053;
const shownMax = 3;

export function planPolicies(view: PolicyView, namespace: string): PolicyPlan {
  const { state, gaps } = stateOf(view, namespace);
  // What was printed before must not make that others keep the mesh out look mended.
  const others = view.policies.filter((one) => one.namespace !== namespace || !isPrinted(one));
  const before = { ...view, policies: others };
  const blocks = blocksOf(before, namespace);
  const callers = blocks.filter((one) => one.direction === 'egress' && one.isCaller);
  return {
    namespace,
    policy: view.namespaces.get(namespace)?.policy ?? 'off',
    state,
    gaps,
    manifests: [
      ingressManifest(view, namespace),
      ...callers.map(({ policy }) => egressManifest(view, policy)),
    ],
    existing: [
      ...blocks.map(blockText),
      ...before.policies.filter((one) => one.namespace === namespace).flatMap(effectOf(before)),
    ].sort((left, right) => (left.policy + left.effect < right.policy + right.effect ? -1 : 1)),
  };
}

function isPrinted({ name }: NetworkPolicy): boolean {
  return name === `${ours}ingress` || name.startsWith(`${ours}egress-`);
}

// ---- what keeps the mesh out --------------------------------------------------------------------

type Block = {
  readonly policy: NetworkPolicy;
  readonly direction: Direction;
  /** What would be printed for it lets the callers out. */
  readonly isCaller: boolean;
  readonly flows: readonly string[];
};

type NamedFlow = PolicyFlow & { readonly what: string; readonly isCaller: boolean };

function blocksOf(view: PolicyView, namespace: string): readonly Block[] {
  const found = new Map<string, Block & { readonly flows: string[] }>();
  const note = (policy: NetworkPolicy, direction: Direction, flow: NamedFlow): void => {
    const key = `${policy.namespace}/${policy.name} ${direction}`;
    const isCaller = flow.isCaller && direction === 'egress';
    const block = found.get(key) ?? { policy, direction, isCaller, flows: [] };
    found.set(key, block);
    if (!block.flows.includes(flow.what)) block.flows.push(flow.what);
  };
  for (const flow of flowsOf(view, namespace)) {
    for (const direction of ['ingress', 'egress'] as const) {
      for (const policy of blockersOf(view, flow, direction)) note(policy, direction, flow);
    }
  }
  return [...found.values()];
}

/** Every connection of the mesh that concerns this namespace: a policy could be in its way. */
function* flowsOf(view: PolicyView, namespace: string): Generator<NamedFlow> {
  const proxy = proxyPlace(view);
  for (const { namespace: owner, pod, port, protocol } of view.backends) {
    const to = view.places.get(`${owner}/${pod}`);
    if (owner !== namespace || to === undefined) continue;
    const what = `calls to ${owner}/${pod}:${port}`;
    yield { from: proxy, to, at: { protocol, port }, what, isCaller: false };
  }
  for (const from of view.places.values()) {
    if (from.namespace !== namespace || from.isHostNetwork) continue;
    const what = `calls by ${namespace}/${from.name}`;
    for (const at of view.proxyPorts) yield { from, to: proxy, at, what, isCaller: true };
  }
  yield* meshFlows(view, proxy);
}

function* meshFlows(view: PolicyView, proxy: PolicyPlace): Generator<NamedFlow> {
  const tunnel: PlacePort = { protocol: 'TCP', port: tunnelPort };
  const what = 'tunnels between proxies';
  yield { from: proxy, to: proxy, at: tunnel, what, isCaller: false };
  for (const from of view.places.values()) {
    if (from.namespace !== 'kube-system' || from.labels.get('k8s-app') !== 'kube-dns') continue;
    for (const protocol of ['UDP', 'TCP'] as const) {
      const at = { protocol, port: dnsPort };
      yield { from, to: proxy, at, what: 'mesh names asked by the DNS', isCaller: false };
    }
  }
}

function blockText({ policy, direction, isCaller, flows }: Block): PolicyEffect {
  const more = flows.length > shownMax ? ` and ${flows.length - shownMax} more` : '';
  const what = `${flows.slice(0, shownMax).join(', ')}${more}`;
  const fix =
    isCaller || (direction === 'ingress' && flows.some((one) => one.startsWith('calls to')))
      ? 'what is printed here opens it'
      : `admit them by a policy in ${policy.namespace}`;
  return {
    policy: `${policy.namespace}/${policy.name}`,
    effect: 'blocks',
    message: `its ${direction} keeps out ${what}: ${fix}`,
  };
}

// ---- what else the others mean ------------------------------------------------------------------

function effectOf(view: PolicyView): (policy: NetworkPolicy) => readonly PolicyEffect[] {
  return (policy) => {
    const name = `${policy.namespace}/${policy.name}`;
    const gaps = gapsBy(view, policy);
    const bypassed: readonly PolicyEffect[] = gaps.map((who) => ({
      policy: name,
      effect: 'bypassed',
      message: `it admits ${who} past the mesh, and policies add up: take that out to enforce`,
    }));
    const widened = widenedBy(view, policy);
    if (widened === undefined) return bypassed;
    return [...bypassed, { policy: name, effect: 'widened', message: widened }];
  };
}

/** Whom this policy alone lets to pods of Services of the mesh, besides proxies and nodes. */
function gapsBy(view: PolicyView, policy: NetworkPolicy): readonly string[] {
  const alone = stateOf({ ...view, policies: [policy] }, policy.namespace);
  return [...new Set(alone.gaps.flatMap((gap) => (gap.kind === 'admitted' ? [gap.who] : [])))];
}

/** Only what was narrow can be widened: a rule for everybody has nothing to lose. */
function widenedBy(view: PolicyView, policy: NetworkPolicy): string | undefined {
  const { namespace } = policy;
  const isAt = view.backends.some(({ namespace: owner, pod }) => {
    const place = view.places.get(`${owner}/${pod}`);
    if (place === undefined || owner !== namespace) return false;
    return policiesOf(view, place, 'ingress').includes(policy);
  });
  const rules = policy.ingress ?? [];
  if (!isAt || rules.some(({ peers }) => peers === undefined)) return undefined;
  const all = rules.flatMap((rule) => rule.peers ?? []);
  if (all.length > 0 && all.every((peer) => isOurs(view, peer))) return undefined;
  const admitted = all.length === 0 ? 'nobody' : [...new Set(all.map(peerText))].join(', ');
  const isEnforcing = view.namespaces.get(namespace)?.policy === 'enforce';
  const instead = isEnforcing
    ? 'of calls through the mesh TrafficTargets decide instead'
    : 'everybody may call through the mesh: set weft.dev/policy: enforce';
  return `it admits ${admitted} alone; ${instead}`;
}

// ---- what is printed ----------------------------------------------------------------------------

function proxiesPeer(view: PolicyView): PolicyManifest {
  return {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': view.meshNamespace } },
    podSelector: { matchLabels: Object.fromEntries(proxyLabels) },
  };
}

function manifest(namespace: string, name: string, spec: PolicyManifest): PolicyManifest {
  const labels = { 'app.kubernetes.io/part-of': 'weft' };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace, labels },
    spec,
  };
}

/** All pods, so that a Service that is made tomorrow is covered; all ports, for the same reason. */
function ingressManifest(view: PolicyView, namespace: string): PolicyManifest {
  const nodes = [...view.nodeAddresses].sort().map((one) => ({ ipBlock: { cidr: blockOf(one) } }));
  return manifest(namespace, `${ours}ingress`, {
    podSelector: {},
    policyTypes: ['Ingress'],
    ingress: [{ from: [proxiesPeer(view), ...nodes] }],
  });
}

/**
 * For the pods of a policy that keeps them from the proxies, and no others: a policy about egress
 * closes all that it does not name. Ranges, because a port is given when a Service asks for it.
 */
function egressManifest(view: PolicyView, policy: NetworkPolicy): PolicyManifest {
  const range = (protocol: string, { first, last }: typeof httpPorts) => ({
    protocol,
    port: first,
    endPort: last,
  });
  return manifest(policy.namespace, `${ours}egress-${policy.name}`.slice(0, 253), {
    podSelector: policy.podSelector,
    policyTypes: ['Egress'],
    egress: [
      {
        to: [proxiesPeer(view)],
        ports: [range('TCP', httpPorts), range('TCP', flowPorts), range('UDP', flowPorts)],
      },
    ],
  });
}
