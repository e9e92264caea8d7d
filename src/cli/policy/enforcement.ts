// Whether `policy: enforce` of a namespace binds everybody or only who calls through the mesh. It
// is *enforced* when NetworkPolicies let nobody but proxies and nodes reach the pods behind its
// Services; *advisory* when a pod's address is open to somebody else. One function, for `weft
// check`, for `weft policy networkpolicies` and for pages that show it.
import { assertNever } from '../../lib/assert.ts';
import type { NetworkPolicy, PolicyPeer } from '../../api/index.ts';
import { blockOf } from './address-block.ts';
import {
  covers,
  policiesOf,
  type PolicyBackend,
  type PolicyPlace,
  type PolicyView,
} from './policy-view.ts';

/** Somebody who may go past the mesh to a pod behind one of its Services. */
export type Gap = {
  /** `namespace/name`. */
  readonly pod: string;
  readonly service: string;
} & (
  | { readonly kind: 'host-network' }
  | { readonly kind: 'unselected' }
  | { readonly kind: 'admitted'; readonly who: string; readonly policy: string }
);

export type Enforcement = {
  readonly namespace: string;
  readonly state: 'enforced' | 'advisory';
  /** Empty when enforced; by pod. */
  readonly gaps: readonly Gap[];
};

/** Of every namespace whose policy is `enforce` and that has pods in the mesh, by name. */
export function enforcementOf(view: PolicyView): readonly Enforcement[] {
  const enforcing = [...view.namespaces].filter(([, { policy }]) => policy === 'enforce');
  const names = enforcing.map(([name]) => name).sort();
  const used = new Set(view.backends.map(({ namespace }) => namespace));
  return names.filter((name) => used.has(name)).map((name) => stateOf(view, name));
}

/** The same of any namespace, whatever its policy. */
export function stateOf(view: PolicyView, namespace: string): Enforcement {
  const gaps = new Map<string, Gap>();
  for (const backend of view.backends) {
    if (backend.namespace !== namespace) continue;
    for (const gap of gapsOf(view, backend)) gaps.set(gapText(gap), gap);
  }
  const sorted = [...gaps].sort(([left], [right]) => (left < right ? -1 : 1));
  const state = gaps.size === 0 ? 'enforced' : 'advisory';
  return { namespace, state, gaps: sorted.map(([, gap]) => gap) };
}

/** One line for people. */
export function gapText(gap: Gap): string {
  const what = `${gap.pod} (Service ${gap.service})`;
  switch (gap.kind) {
    case 'host-network':
      return `${what} is in its node's network: no NetworkPolicy binds it`;
    case 'unselected':
      return `${what} is open to everybody: no NetworkPolicy selects it`;
    case 'admitted':
      return `${what} is open to ${gap.who}: NetworkPolicy ${gap.policy}`;
    default:
      return assertNever(gap);
  }
}

function gapsOf(view: PolicyView, backend: PolicyBackend): readonly Gap[] {
  const { namespace, service } = backend;
  const pod = `${namespace}/${backend.pod}`;
  const place = view.places.get(pod);
  if (place === undefined) return [];
  if (place.isHostNetwork) return [{ pod, service, kind: 'host-network' }];
  const policies = policiesOf(view, place, 'ingress');
  if (policies.length === 0) return [{ pod, service, kind: 'unselected' }];
  return policies.flatMap((policy) =>
    strangersOf(view, policy, { place, backend }).map(
      (who): Gap => ({ pod, service, kind: 'admitted', who, policy: policy.name }),
    ),
  );
}

/** Whom a policy admits to this port besides proxies and nodes. */
function strangersOf(
  view: PolicyView,
  policy: NetworkPolicy,
  { place, backend }: { readonly place: PolicyPlace; readonly backend: PolicyBackend },
): readonly string[] {
  const rules = (policy.ingress ?? []).filter((rule) => covers(rule, backend, place));
  return rules.flatMap(({ peers }) => {
    if (peers === undefined) return ['everybody'];
    return peers.filter((peer) => !isOurs(view, peer)).map(peerText);
  });
}

/**
 * Certain by what is written, not by which pods there are today: pods of the mesh's namespace,
 * where only administrators of the mesh may create any, or the address of one node.
 */
export function isOurs(view: PolicyView, peer: PolicyPeer): boolean {
  switch (peer.kind) {
    case 'block':
      return view.nodeAddresses.some((address) => blockOf(address) === peer.cidr);
    case 'pods':
      return (peer.namespaces ?? []).some(
        ({ key, operator, values }) =>
          key === 'kubernetes.io/metadata.name' &&
          operator === 'In' &&
          values.every((value) => value === view.meshNamespace),
      );
    default:
      return assertNever(peer);
  }
}

/** For people: `pods app=front`, `10.0.0.0/8`. */
export function peerText(peer: PolicyPeer): string {
  if (peer.kind === 'block') {
    return peer.except.length === 0 ? peer.cidr : `${peer.cidr} but ${peer.except.join(' ')}`;
  }
  const { namespaces, pods } = peer;
  const where = namespaces === undefined ? 'of this namespace' : `of ${placesText(namespaces)}`;
  return `${pods.length === 0 ? 'all pods' : `pods ${selectorText(pods)}`} ${where}`;
}

type Terms = Extract<PolicyPeer, { readonly kind: 'pods' }>['pods'];

function placesText(terms: Terms): string {
  return terms.length === 0 ? 'all namespaces' : `namespaces ${selectorText(terms)}`;
}

function selectorText(terms: Terms): string {
  return terms
    .map(({ key, operator, values }) => {
      if (operator === 'Exists') return key;
      if (operator === 'DoesNotExist') return `!${key}`;
      const [only] = values;
      const isOne = operator === 'In' && values.length === 1;
      return isOne ? `${key}=${only}` : `${key} ${operator} (${values.join(', ')})`;
    })
    .join(',');
}
