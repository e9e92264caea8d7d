// The small core kinds: Node, Namespace, ServiceAccount. Of a Node only its own addresses matter
// and whether a proxy can run there, of the other two only metadata.
import { normaliseAddress } from '../lib/address.ts';
import type { Namespace, Node, ServiceAccount } from './core.ts';
import { parseObject } from './draft.ts';
import { asList, asObject, valueAt } from './json.ts';
import { proxyObstacleOf } from './node-platform.ts';
import type { Parsed } from './object.ts';

/** Parses a Node: its own addresses, which are never a workload's, and what runs there. */
export function parseNode(input: unknown): Parsed<Node> {
  return parseObject('Node', input, (draft) => {
    const addresses: string[] = [];
    const status = asObject(valueAt(draft.root, 'status'));
    for (const item of asList(valueAt(status, 'addresses')) ?? []) {
      const entry = asObject(item);
      const type = valueAt(entry, 'type');
      if (type !== 'InternalIP' && type !== 'ExternalIP') continue;
      const text = valueAt(entry, 'address');
      const address = typeof text === 'string' ? normaliseAddress(text) : undefined;
      if (address !== undefined && !addresses.includes(address)) addresses.push(address);
    }
    const proxyObstacle = proxyObstacleOf(input);
    return { kind: 'Node', meta: draft.meta, addresses, proxyObstacle };
  });
}

/** Parses a Namespace. */
export function parseNamespace(input: unknown): Parsed<Namespace> {
  return parseObject('Namespace', input, (draft) => ({ kind: 'Namespace', meta: draft.meta }));
}

/** Parses a ServiceAccount. */
export function parseServiceAccount(input: unknown): Parsed<ServiceAccount> {
  return parseObject('ServiceAccount', input, (draft) => ({
    kind: 'ServiceAccount',
    meta: draft.meta,
  }));
}
