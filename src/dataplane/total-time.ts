// How long an exchange may take with all its attempts, and who has said so: the service
// (`timeout`), its caller (`grpc-timeout`), or the caller's proxy, which knows what either has left
// of it. The shortest counts.
import { callTimeoutMs } from './grpc.ts';
import type { Plan } from './hop.ts';
import type { TunnelDeadline } from './tunnel-fields.ts';

/** Undefined: there is no such time. */
export function totalTimeOf(
  rulesMs: number | undefined,
  { head, deadline }: Pick<Plan, 'head' | 'deadline'>,
): TunnelDeadline | undefined {
  const ms = callTimeoutMs(rulesMs, head);
  if (deadline !== undefined && deadline.ms <= (ms ?? Infinity)) return deadline;
  return ms === undefined ? undefined : { ms, isCallers: ms !== rulesMs };
}

/** What is told is up to 25 ms more than what is left, and a deadline there up to 25 ms late. */
const lateMs = 50;

/**
 * Whether the other proxy, which has told the time that there is, has left because it is over: a
 * failure as if this one had looked at the clock first. Earlier its client has simply gone.
 */
export function isOverThere({ deadline }: Pick<Plan, 'deadline'>, leftMs: number): boolean {
  return deadline !== undefined && leftMs <= Math.min(lateMs, deadline.ms / 2);
}
