// What becomes of the copy of a request, in few words: they are a label of a metric. It says
// nothing of the original; what the pod answered is in the metrics of tries.
import type { Reason } from './refusals.ts';

/**
 * `answered`: by a pod, whatever it said · `failed`: no pod could be asked, or it broke off ·
 * `timeout` · `denied`: no TrafficTarget lets the original's source call the mirror · `refused`: by
 * the limits and faults of the mirror's service · `too_large`: a body of more than 1 MiB ·
 * `over_budget`: too many copies, or bytes of them, are under way · `incomplete`: the original's
 * client did not send all of it, or the proxy leaves.
 */
export type MirrorOutcome =
  | 'answered'
  | 'failed'
  | 'timeout'
  | 'denied'
  | 'refused'
  | 'too_large'
  | 'over_budget'
  | 'incomplete';

const outcomes: ReadonlyMap<Reason, MirrorOutcome> = new Map<Reason, MirrorOutcome>([
  ['SourceNotAllowed', 'denied'],
  ['RouteNotAllowed', 'denied'],
  ['SourceUnknown', 'denied'],
  ['TimeoutConnect', 'timeout'],
  ['TimeoutRequest', 'timeout'],
  ['TimeoutIdle', 'timeout'],
  ['Stopped', 'refused'],
  ['NoBackendWeight', 'refused'],
  ['RateLimited', 'refused'],
  ['CircuitOpen', 'refused'],
  ['Overloaded', 'refused'],
  ['Shedding', 'refused'],
  ['FaultInjected', 'refused'],
  ['Loop', 'refused'],
  ['BadRequestBodyTooLarge', 'too_large'],
]);

/** Of an exchange that has ended: why it was refused, if it was, and whether a pod answered. */
export function mirrorOutcome(reason: Reason | undefined, isAnswered: boolean): MirrorOutcome {
  if (reason === undefined) return isAnswered ? 'answered' : 'incomplete';
  return outcomes.get(reason) ?? 'failed';
}
