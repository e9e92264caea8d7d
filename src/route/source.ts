// Who calls, from the address of the connection and nothing else (A8). Only pods of this node have
// an identity here; every other address is unauthenticated, never a default identity.
import { normaliseAddress } from '../lib/address.ts';
import type { Workload } from '../snapshot/index.ts';
import type { RouteTable } from './table.ts';
import type { Source } from './types.ts';

const unauthenticated: Source = { kind: 'unauthenticated' };

/** The source behind `address` (as a socket shows it, `::ffff:` included). */
export function sourceOf(table: RouteTable, address: string): Source {
  const { bindings } = table.node;
  // Keys are in their one normal spelling; only what is not found as it stands needs to be read.
  const binding = bindings.get(address) ?? bindings.get(normaliseAddress(address) ?? '');
  if (binding?.kind !== 'workload' || !binding.isLocal) return unauthenticated;
  return sources.get(binding.workload) ?? addSource(binding.workload);
}

/** One object per pod, so that what is counted per source can be found by identity. */
const sources = new WeakMap<Workload, Source>();

function addSource(pod: Workload): Source {
  const { namespace, serviceAccount, workload, podName } = pod;
  const principal = `${namespace}/${serviceAccount}`;
  const source: Source = {
    kind: 'workload',
    namespace,
    serviceAccount,
    principal,
    workload,
    podName,
  };
  sources.set(pod, source);
  return source;
}
