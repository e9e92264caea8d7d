// What a kubelet writes of a pod that runs, pure: one container state for all, no restarts. Times
// are those of the pod's creation, but for its readiness, so that equal states give equal texts.
import { timestamp } from '../server/context.ts';
import { listAt, textAt, type Json, type JsonObject } from '../server/json.ts';

/** Where a pod runs, and how it is. */
export type PodState = {
  readonly address: string;
  readonly hostAddress: string;
  readonly isReady: boolean;
  /** When it became so, by the wall clock; with its creation when absent. */
  readonly readySinceMs?: number;
};

/** The status of a running pod; the same state gives the same text. */
export function runningStatus(pod: JsonObject, state: PodState): JsonObject {
  const { address, hostAddress, isReady } = state;
  const since = textAt(pod, 'metadata', 'creationTimestamp') ?? '';
  const readySince = state.readySinceMs === undefined ? since : timestamp(state.readySinceMs);
  const ready = isReady ? 'True' : 'False';
  const conditions: Json[] = [
    { type: 'PodScheduled', status: 'True', lastTransitionTime: since },
    { type: 'Initialized', status: 'True', lastTransitionTime: since },
    { type: 'ContainersReady', status: ready, lastTransitionTime: readySince },
    { type: 'Ready', status: ready, lastTransitionTime: readySince },
  ];
  const containerStatuses: Json[] = listAt(pod, 'spec', 'containers').map((container) => ({
    name: textAt(container, 'name') ?? '',
    image: textAt(container, 'image') ?? '',
    imageID: '',
    ready: isReady,
    started: true,
    restartCount: 0,
    state: { running: { startedAt: since } },
  }));
  return {
    phase: 'Running',
    qosClass: textAt(pod, 'status', 'qosClass') ?? 'BestEffort',
    conditions,
    containerStatuses,
    hostIP: hostAddress,
    hostIPs: [{ ip: hostAddress }],
    podIP: address,
    podIPs: [{ ip: address }],
    startTime: since,
  };
}
