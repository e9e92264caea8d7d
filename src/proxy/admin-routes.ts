// What a proxy's admin port answers (contract §5). Reading shows state and changes nothing; the two
// routes that act are POSTs.
import type { ClusterWatch } from '../kube/index.ts';
import {
  jsonAnswer,
  textAnswer,
  type AdminRoute,
  type MeterRegistry,
} from '../telemetry/control.ts';
import type { RunningIdentities } from './identities.ts';
import type { Publisher } from './publisher.ts';
import type { Readiness } from './readiness.ts';
import type { ProxySettings } from './settings.ts';
import type { WorkerFleet } from './worker-fleet.ts';

export type AdminFacts = {
  readonly version: string;
  readonly settings: ProxySettings;
  readonly publisher: Publisher;
  readonly fleet: WorkerFleet;
  readonly watch: ClusterWatch;
  readonly registry: MeterRegistry;
  /** `undefined`: no certificates are kept. */
  readonly identities: RunningIdentities | undefined;
  readonly readinessSoon: () => Promise<Readiness>;
  readonly isDraining: () => boolean;
  readonly startDrain: () => void;
};

export function adminRoutes(facts: AdminFacts): ReadonlyMap<string, AdminRoute> {
  const routes = new Map<string, AdminRoute>([
    ['/livez', () => textAnswer(200, 'ok')],
    ['/readyz', async () => readyAnswer(await facts.readinessSoon())],
    ['/version', () => jsonAnswer(versionOf(facts))],
    ['/metrics', metricsRoute(facts.registry)],
    ['/debug/version', () => jsonAnswer(versionOf(facts))],
    ['/debug/config', () => jsonAnswer(configOf(facts))],
    ['/debug/problems', () => jsonAnswer({ items: facts.publisher.problems })],
    ['/debug/identities', () => jsonAnswer({ items: facts.identities?.facts() ?? [] })],
    ['/debug/workers', () => workersAnswer(facts)],
    ['/debug/watch', () => jsonAnswer({ items: facts.watch.status() })],
    ['/debug/drain', () => jsonAnswer({ isDraining: facts.isDraining() })],
    ['POST /debug/drain', () => {
      facts.startDrain();
      return jsonAnswer({ isDraining: true });
    }],
  ]);
  if (facts.settings.testHooks) {
    for (let index = 0; index < facts.settings.workers; index += 1) {
      routes.set(`POST /debug/workers/${index}/kill`, () =>
        jsonAnswer({ isKilled: facts.fleet.breakWorker(index) }),
      );
    }
  }
  return routes;
}

function metricsRoute(registry: MeterRegistry): AdminRoute {
  return async ({ accept }) => {
    const page = await registry.render(accept);
    return { status: 200, contentType: page.contentType, body: page.body };
  };
}

function readyAnswer({ isReady, waitsFor }: Readiness) {
  return isReady ? textAnswer(200, 'ok') : textAnswer(503, `waits for ${waitsFor.join(', ')}`);
}

function versionOf({ version, publisher, identities }: AdminFacts) {
  return {
    build: version,
    version: publisher.snapshot?.version ?? '',
    policyVersion: publisher.policyVersion,
    recent: publisher.recent,
    ...(identities === undefined ? {} : { trust: identities.trustFacts() }),
  };
}

/** The snapshot in force and this node's part of it; nothing in either is secret (A4). */
function configOf({ publisher }: AdminFacts) {
  const sections = [...(publisher.snapshot?.sections.values() ?? [])];
  return {
    version: publisher.snapshot?.version ?? '',
    sections: Object.fromEntries(sections.map((record) => [record.id, record.section])),
    node: {
      nodeName: publisher.nodePart?.nodeName ?? '',
      bindings: Object.fromEntries(publisher.nodePart?.bindings ?? []),
    },
  };
}

async function workersAnswer({ fleet }: AdminFacts) {
  const states = fleet.states();
  const items = await Promise.all(
    states.map(async (state) => ({ ...state, dataplane: await fleet.inspect(state.index) })),
  );
  return jsonAnswer({ items });
}
