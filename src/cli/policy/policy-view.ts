// What NetworkPolicies say of a connection between two places of the cluster. They add up: a place
// that no policy selects is open; one that some select admits what any rule of them admits; both
// ends have to agree (networking.k8s.io/v1). Whether anything in the cluster applies them cannot be
// seen here: that is the network plugin's.
import type { LabelSelector, NetworkPolicy, PolicyMode } from '../../api/index.ts';
import type { PolicyPeer, PolicyPort, PolicyRule, TransportProtocol } from '../../api/index.ts';
import { isInBlock } from './address-block.ts';

export type Labels = ReadonlyMap<string, string>;

/** A pod, as a policy sees it. */
export type PolicyPlace = {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  /** Policies do not bind what is in its node's network. */
  readonly isHostNetwork: boolean;
  /** `TCP/http` → 8080. */
  readonly namedPorts: ReadonlyMap<string, number>;
};

export type PolicyNamespace = { readonly labels: Labels; readonly policy: PolicyMode };

export type PlacePort = { readonly protocol: TransportProtocol; readonly port: number };

/** An endpoint of a Service of the mesh. */
export type PolicyBackend = PlacePort & {
  readonly namespace: string;
  readonly service: string;
  readonly pod: string;
};

/** The cluster, as far as policies and what they mean to the mesh go. */
export type PolicyView = {
  readonly meshNamespace: string;
  readonly namespaces: ReadonlyMap<string, PolicyNamespace>;
  /** Own addresses of nodes. */
  readonly nodeAddresses: readonly string[];
  readonly policies: readonly NetworkPolicy[];
  /** By `namespace/name`; pods that have ended are none. */
  readonly places: ReadonlyMap<string, PolicyPlace>;
  readonly backends: readonly PolicyBackend[];
  /** Ports of the proxies that mesh Services lead to. */
  readonly proxyPorts: readonly PlacePort[];
};

/** Labels that the pods of the DaemonSet have, whatever else they have. */
export const proxyLabels: Labels = new Map([
  ['app.kubernetes.io/name', 'weft'],
  ['app.kubernetes.io/component', 'proxy'],
]);

/** Any proxy: what a policy has to admit. */
export function proxyPlace(view: PolicyView): PolicyPlace {
  const running = [...view.places.values()].filter((place) => isProxy(view, place));
  return {
    namespace: view.meshNamespace,
    name: 'weft-proxy',
    labels: proxyLabels,
    addresses: running.flatMap(({ addresses }) => addresses),
    isHostNetwork: false,
    namedPorts: new Map(),
  };
}

function isProxy(view: PolicyView, { namespace, labels }: PolicyPlace): boolean {
  const isOurs = [...proxyLabels].every(([key, value]) => labels.get(key) === value);
  return namespace === view.meshNamespace && isOurs;
}

function selects(selector: LabelSelector, labels: Labels): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = labels.get(key);
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
    }
  });
}

export type Direction = 'ingress' | 'egress';

/** The policies that say something of this direction of a place. */
export function policiesOf(
  view: PolicyView,
  place: PolicyPlace,
  direction: Direction,
): readonly NetworkPolicy[] {
  if (place.isHostNetwork) return [];
  return view.policies.filter(
    (policy) =>
      policy.namespace === place.namespace &&
      policy[direction] !== undefined &&
      selects(policy.pods, place.labels),
  );
}

export type PolicyFlow = {
  readonly from: PolicyPlace;
  readonly to: PolicyPlace;
  readonly at: PlacePort;
};

/** The policies of one end that together keep this out; none when they admit it. */
export function blockersOf(
  view: PolicyView,
  flow: PolicyFlow,
  direction: Direction,
): readonly NetworkPolicy[] {
  const place = direction === 'ingress' ? flow.to : flow.from;
  const peer = direction === 'ingress' ? flow.from : flow.to;
  const policies = policiesOf(view, place, direction);
  const isAdmitted = policies.some((policy) =>
    (policy[direction] ?? []).some(
      (rule) =>
        covers(rule, flow.at, flow.to) &&
        (rule.peers?.some((one) => admits({ view, policy, peer: one }, peer)) ?? true),
    ),
  );
  return isAdmitted ? [] : policies;
}

/** Whether a rule is about this port; names are those of the place that is called. */
export function covers(rule: PolicyRule, at: PlacePort, called: PolicyPlace): boolean {
  return rule.ports?.some((port) => coversPort(port, at, called)) ?? true;
}

function coversPort(
  { protocol, port, endPort }: PolicyPort,
  at: PlacePort,
  { namedPorts }: PolicyPlace,
): boolean {
  if (protocol !== at.protocol) return false;
  if (port === undefined) return true;
  if (typeof port === 'string') return namedPorts.get(`${protocol}/${port}`) === at.port;
  return at.port >= port && at.port <= (endPort ?? port);
}

type Standing = {
  readonly view: PolicyView;
  readonly policy: NetworkPolicy;
  readonly peer: PolicyPeer;
};

function admits({ view, policy, peer }: Standing, place: PolicyPlace): boolean {
  switch (peer.kind) {
    case 'block': {
      const isIn = (address: string): boolean =>
        isInBlock(peer.cidr, address) && !peer.except.some((cidr) => isInBlock(cidr, address));
      return place.addresses.length > 0 && place.addresses.every(isIn);
    }
    case 'pods': {
      if (place.isHostNetwork || !selects(peer.pods, place.labels)) return false;
      if (peer.namespaces === undefined) return place.namespace === policy.namespace;
      return selects(peer.namespaces, labelsOfNamespace(view, place.namespace));
    }
  }
}

/** With the label that the API server puts on every namespace. */
function labelsOfNamespace(view: PolicyView, name: string): Labels {
  const labels = view.namespaces.get(name)?.labels ?? new Map<string, string>();
  return new Map([...labels, ['kubernetes.io/metadata.name', name]]);
}
