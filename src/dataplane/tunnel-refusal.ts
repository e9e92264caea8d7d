// What the other proxy's refusal means to an exchange here (docs/design/0008, the table of
// failures): the caller gets this proxy's own words, and whether the request may be tried elsewhere
// follows from whether the pod got anything of it.
import { isReason, reasonStatus } from './refusals.ts';
import type { Reason } from './refusals.ts';
import type { AttemptFailure } from './retry-policy.ts';
import type { TunnelRefusal } from './tunnel-fields.ts';

export type RefusedThere = {
  readonly reason: Reason;
  /** Undefined: it is the answer, and nobody else is asked. */
  readonly failure: AttemptFailure | undefined;
  /** When the other proxy may be asked again, where it has said so in the answer. */
  readonly retryAfterS?: number | undefined;
};

/** Reasons that speak of the pod or of the tunnel; all others are the answer. */
const failures: ReadonlyMap<Reason, AttemptFailure['kind']> = new Map([
  ['PodNotHere', 'connect'],
  ['TunnelUnavailable', 'connect'],
  ['Shedding', 'connect'],
  ['UpstreamConnect', 'connect'],
  ['TimeoutConnect', 'connect'],
  ['UpstreamReset', 'reset'],
  ['UpstreamProtocol', 'protocol'],
  ['TimeoutIdle', 'try-timeout'],
]);

/** There is no way to the endpoint. */
export const noTunnel: AttemptFailure = { kind: 'connect', status: 503, isUnsent: true };

export function refusedThere(refusal: TunnelRefusal): RefusedThere {
  // A word of the next release: the other proxy could not serve it, that much is known.
  const { isUnsent, retryAfterS } = refusal;
  const told: Reason = isReason(refusal.reason) ? refusal.reason : 'UpstreamProtocol';
  const kind = failures.get(told);
  const reason = told === 'PodNotHere' ? 'TunnelUnavailable' : told;
  if (kind === undefined) return { reason, failure: undefined, retryAfterS };
  // What the pod may have got something of is no failure to connect, whatever is said.
  const isContradiction = kind === 'connect' && !isUnsent;
  const status = reasonStatus(reason);
  return { reason, failure: { kind: isContradiction ? 'reset' : kind, status, isUnsent } };
}
