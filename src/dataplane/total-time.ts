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
