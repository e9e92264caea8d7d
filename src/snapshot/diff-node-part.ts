// What changed in the node part, and how a worker takes it over. It carries no version: the control
// thread sends each change once and in order, and everything again to a worker that is new.
import type { AddressBinding, NodePart, NodePartDelta } from './node-part.ts';

/** The bindings that turn `previous` into `next`; complete for a new worker or another node. */
export function diffNodePart(previous: NodePart | undefined, next: NodePart): NodePartDelta {
  const { nodeName, bindings } = next;
  if (previous?.nodeName !== nodeName) {
    return { nodeName, isComplete: true, set: [...bindings], removed: [] };
  }
  const known = previous.bindings;
  const set: [string, AddressBinding][] = [];
  for (const [address, binding] of bindings) {
    if (!isSameBinding(known.get(address), binding)) set.push([address, binding]);
  }
  const removed: string[] = [];
  for (const address of known.keys()) if (!bindings.has(address)) removed.push(address);
  return { nodeName, isComplete: false, set, removed };
}

/** `held` as `delta` changes it. */
export function applyNodePart(held: NodePart | undefined, delta: NodePartDelta): NodePart {
  const isFresh = delta.isComplete || held === undefined;
  const bindings = new Map<string, AddressBinding>(isFresh ? [] : held.bindings);
  for (const address of delta.removed) bindings.delete(address);
  for (const [address, binding] of delta.set) bindings.set(address, binding);
  return { nodeName: delta.nodeName, bindings };
}

/** Whether two bindings say the same. */
export function isSameBinding(left: AddressBinding | undefined, right: AddressBinding): boolean {
  if (left === right) return true;
  if (left === undefined || left.kind !== right.kind) return false;
  if (left.kind === 'infrastructure' && right.kind === 'infrastructure') {
    return left.hostPods?.join(' ') === right.hostPods?.join(' ');
  }
  if (left.kind !== 'workload' || right.kind !== 'workload') return true;
  return (
    left.isLocal === right.isLocal &&
    left.nodeName === right.nodeName &&
    left.workload.podUid === right.workload.podUid &&
    left.workload.podName === right.workload.podName &&
    left.workload.namespace === right.workload.namespace &&
    left.workload.serviceAccount === right.workload.serviceAccount &&
    left.workload.workload === right.workload.workload
  );
}
