// NetworkPolicy (networking.k8s.io/v1) as far as it says who may talk to whom. No proxy and no
// controller watches them: only commands read them, to tell what they do to calls through the mesh.
// The API server has checked their shape; a selector or a peer that is not understood all the same
// admits nobody and selects nobody.
import { asInteger, asList, asObject, asText, valueAt, type JsonObject } from './json.ts';
import type { TransportProtocol } from './core.ts';

export type SelectorTerm = {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
};

/** Terms that all have to hold; none selects everything. */
export type LabelSelector = readonly SelectorTerm[];

export type PolicyPeer =
  | {
      readonly kind: 'pods';
      /** `undefined`: the policy's own namespace. */
      readonly namespaces: LabelSelector | undefined;
      readonly pods: LabelSelector;
    }
  | { readonly kind: 'block'; readonly cidr: string; readonly except: readonly string[] };

export type PolicyPort = {
  readonly protocol: TransportProtocol;
  /** A number, or the name of a container port; `undefined`: every port of the protocol. */
  readonly port: number | string | undefined;
  readonly endPort: number | undefined;
};

export type PolicyRule = {
  /** `undefined`: everybody. */
  readonly peers: readonly PolicyPeer[] | undefined;
  /** `undefined`: every port. */
  readonly ports: readonly PolicyPort[] | undefined;
};

export type NetworkPolicy = {
  readonly namespace: string;
  readonly name: string;
  readonly pods: LabelSelector;
  /** The same as the object has it: for a policy that is to select the same pods. */
  readonly podSelector: JsonObject;
  /** `undefined`: says nothing of this direction. */
  readonly ingress: readonly PolicyRule[] | undefined;
  readonly egress: readonly PolicyRule[] | undefined;
};

/** `undefined` for what is no NetworkPolicy at all. */
export function readNetworkPolicy(input: unknown): NetworkPolicy | undefined {
  const root = asObject(input);
  const metadata = asObject(valueAt(root, 'metadata'));
  const name = asText(valueAt(metadata, 'name'));
  const spec = asObject(valueAt(root, 'spec'));
  if (name === undefined || spec === undefined) return undefined;
  const types = asList(valueAt(spec, 'policyTypes')) ?? [];
  const [ingress, egress] = [asList(valueAt(spec, 'ingress')), asList(valueAt(spec, 'egress'))];
  // Without policyTypes: Ingress always, Egress where there are such rules.
  const isOf = (type: string, otherwise: boolean): boolean =>
    types.length === 0 ? otherwise : types.includes(type);
  const podSelector = asObject(valueAt(spec, 'podSelector')) ?? {};
  return {
    namespace: asText(valueAt(metadata, 'namespace')) ?? '',
    name,
    pods: readSelector(podSelector),
    podSelector,
    ingress: isOf('Ingress', true) ? readRules(ingress ?? [], 'from') : undefined,
    egress: isOf('Egress', egress !== undefined) ? readRules(egress ?? [], 'to') : undefined,
  };
}

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

export function readSelector(selector: JsonObject): LabelSelector {
  const labels = Object.entries(asObject(valueAt(selector, 'matchLabels')) ?? {});
  const terms: SelectorTerm[] = labels.map(([key, value]) => ({
    key,
    operator: 'In',
    values: textsOf([value]),
  }));
  for (const item of asList(valueAt(selector, 'matchExpressions')) ?? []) {
    const term = asObject(item);
    const said = valueAt(term, 'operator');
    const operator = operators.find((known) => known === said);
    const values = textsOf(asList(valueAt(term, 'values')) ?? []);
    const key = asText(valueAt(term, 'key')) ?? '';
    // No value is in an empty list: such a term holds for nobody.
    const never = { key, operator: 'In', values: [] } as const;
    terms.push(operator === undefined ? never : { key, operator, values });
  }
  return terms;
}

function textsOf(values: readonly unknown[]): readonly string[] {
  return values.filter((value) => typeof value === 'string');
}

function readRules(rules: readonly unknown[], side: 'from' | 'to'): readonly PolicyRule[] {
  return rules.map((item) => {
    const rule = asObject(item);
    const peers = asList(valueAt(rule, side)) ?? [];
    const ports = asList(valueAt(rule, 'ports')) ?? [];
    return {
      peers: peers.length === 0 ? undefined : peers.flatMap(readPeer),
      ports: ports.length === 0 ? undefined : ports.flatMap(readPort),
    };
  });
}

function readPeer(item: unknown): readonly PolicyPeer[] {
  const peer = asObject(item);
  const block = asObject(valueAt(peer, 'ipBlock'));
  const cidr = asText(valueAt(block, 'cidr'));
  if (cidr !== undefined) {
    return [{ kind: 'block', cidr, except: textsOf(asList(valueAt(block, 'except')) ?? []) }];
  }
  const namespaces = asObject(valueAt(peer, 'namespaceSelector'));
  const pods = asObject(valueAt(peer, 'podSelector'));
  if (namespaces === undefined && pods === undefined) return [];
  return [
    {
      kind: 'pods',
      namespaces: namespaces === undefined ? undefined : readSelector(namespaces),
      pods: readSelector(pods ?? {}),
    },
  ];
}

const protocols = ['TCP', 'UDP', 'SCTP'] as const;

function readPort(item: unknown): readonly PolicyPort[] {
  const entry = asObject(item);
  const said = valueAt(entry, 'protocol') ?? 'TCP';
  const protocol = protocols.find((known) => known === said);
  if (protocol === undefined) return [];
  const port = valueAt(entry, 'port');
  return [
    {
      protocol,
      port: asText(port) ?? asInteger(port),
      endPort: asInteger(valueAt(entry, 'endPort')),
    },
  ];
}
