// What the controller's admin port answers (contract §5). Reading shows state and changes nothing;
// there is no route that acts.
import type { Problem } from '../api/index.ts';
import type { KindStatus } from '../kube/index.ts';
import { jsonAnswer, textAnswer } from '../telemetry/control.ts';
import type { AdminRoute, MeterRegistry } from '../telemetry/control.ts';

export type CompiledVersion = {
  readonly version: string;
  readonly policyVersion: string;
  /** The last policy versions, newest first. */
  readonly recent: readonly string[];
};

export type AdminFacts = {
  readonly build: string;
  readonly registry: MeterRegistry;
  readonly isSynced: () => boolean;
  readonly isLeading: () => boolean;
  /** Empty before the first topology. */
  readonly version: () => CompiledVersion;
  readonly problems: () => readonly Problem[];
  readonly watchStatus: () => readonly KindStatus[];
};

export function adminRoutes(facts: AdminFacts): ReadonlyMap<string, AdminRoute> {
  const version = () =>
    jsonAnswer({
      build: facts.build,
      ...facts.version(),
      isLeading: facts.isLeading(),
    });
  return new Map<string, AdminRoute>([
    ['/livez', () => textAnswer(200, 'ok')],
    ['/readyz', () => readyAnswer(facts)],
    ['/version', version],
    ['/metrics', async ({ accept }) => ({ status: 200, ...(await facts.registry.render(accept)) })],
    ['/debug/version', version],
    ['/debug/problems', () => jsonAnswer({ items: facts.problems() })],
    ['/debug/watch', () => jsonAnswer({ items: facts.watchStatus() })],
  ]);
}

/** A follower is ready too: it takes over in seconds because it has everything at hand. */
function readyAnswer({ isSynced }: AdminFacts) {
  return isSynced()
    ? textAnswer(200, 'ok')
    : textAnswer(503, 'waits for the first list of every kind from the API server');
}
