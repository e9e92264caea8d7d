// Settings as users write them, on a Service or for all Services of a Namespace, in our spelling
// and in Maesh's: each does what it says to calls from pods, on the pod's node and from another,
// and its effect ends when the annotation goes. A value that cannot be read is told, and the
// Namespace's counts.
import { beforeAll, describe, expect, test } from 'vitest';
import { call, get, outcome, type Answer, type Call, type From } from './support/calls.ts';
import { allRolledOut } from './support/cluster.ts';
import { apply, kubectl, kubectlJson, tryKubectl } from './support/kubectl.ts';
import { namespaceWithPrograms, server, service } from './support/objects.ts';
import { callerOn } from './support/shop.ts';
import { until } from './support/until.ts';
import { twoNodes, seenIn } from './support/vault.ts';

const namespace = 'tuned';
const url = `http://web.${namespace}.mesh/`;
const pairUrl = `http://pair.${namespace}.mesh/`;
const onService = ['-n', namespace, 'service/web'];
const onPair = ['-n', namespace, 'service/pair'];
const onNamespace = [`namespace/${namespace}`];

type Annotations = Readonly<Record<string, string>>;
type Place = readonly string[];

type Case = {
  readonly what: string;
  readonly from: 'home' | 'far';
  readonly on: Place;
  readonly annotations: Annotations;
  /** What callers see of it, and what without it. */
  readonly look: (from: From) => Promise<string>;
  readonly sees: string;
  readonly without: string;
};

let nodes: Awaited<ReturnType<typeof twoNodes>>;
let flaky = 0;

async function ask(from: From, calls: readonly Call[]): Promise<readonly string[]> {
  return (await call(from, calls)).map(outcome);
}

function counts(outcomes: readonly string[]): string {
  const sorted = [...new Set(outcomes)].toSorted();
  return sorted.map((one) => `${outcomes.filter((other) => other === one).length} ${one}`).join();
}

/** Each from a process of its own, at the same time. */
async function askTogether(from: From, times: number, path: string): Promise<string> {
  const all = Array.from({ length: times }, () => ask(from, [{ url: `${url}${path}` }]));
  return counts((await Promise.all(all)).flat());
}

async function hostSeen(from: From): Promise<string> {
  return seenIn(await get(from, url)).headers['host'] ?? '';
}

function podsOf(answers: readonly Answer[]): number {
  return new Set(answers.map((answer) => seenIn(answer).pod)).size;
}

const cases: readonly Case[] = [
  {
    what: 'traffic: stop, on the Namespace',
    from: 'far',
    on: onNamespace,
    annotations: { 'weft.dev/traffic': 'stop' },
    look: async (from) => counts(await ask(from, [{ url }, { url: pairUrl }])),
    sees: '2 503 Stopped',
    without: '2 200',
  },
  {
    what: 'upstream-host: service',
    from: 'far',
    on: onService,
    annotations: { 'weft.dev/upstream-host': 'service' },
    look: hostSeen,
    sees: `web.${namespace}.svc.cluster.local`,
    without: `web.${namespace}.mesh`,
  },
  {
    what: 'timeout, on the Namespace',
    from: 'home',
    on: onNamespace,
    annotations: { 'weft.dev/timeout': '300ms' },
    look: async (from) => counts(await ask(from, [{ url: `${url}?delay=1000` }])),
    sees: '1 504 TimeoutRequest',
    without: '1 200',
  },
  {
    what: 'fault: abort',
    from: 'home',
    on: onService,
    annotations: { 'weft.dev/fault': 'abort=503@100%' },
    look: async (from) => counts(await ask(from, [{ url, times: 2 }])),
    sees: '2 503 FaultInjected',
    without: '2 200',
  },
  {
    what: 'rate-limit, by a spelling of Maesh',
    from: 'far',
    on: onService,
    annotations: {
      'mesh.traefik.io/ratelimit-average': '1',
      'mesh.traefik.io/ratelimit-burst': '2',
    },
    look: async (from) => {
      const limited = (await ask(from, [{ url, times: 6 }])).includes('429 RateLimited');
      return limited ? 'limited' : 'not limited';
    },
    sees: 'limited',
    without: 'not limited',
  },
  {
    what: 'max-requests: who finds no place within a second is told so',
    from: 'far',
    on: onService,
    annotations: { 'weft.dev/max-requests': '1' },
    look: (from) => askTogether(from, 3, '?delay=3500'),
    sees: '1 200,2 503 Overloaded',
    without: '3 200',
  },
  {
    what: 'circuit-breaker-expression, by a spelling of Maesh',
    from: 'home',
    on: onService,
    annotations: {
      'maesh.containo.us/circuit-breaker-expression': 'ResponseCodeRatio(500, 600, 0, 600) > 0.5',
    },
    look: async (from) => {
      await ask(from, [{ url: `${url}?status=500`, times: 15 }]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return counts(await ask(from, [{ url }]));
    },
    sees: '1 503 CircuitOpen',
    without: '1 200',
  },
  {
    what: 'retry-attempts with retry-on',
    from: 'far',
    on: onService,
    annotations: { 'weft.dev/retry-attempts': '2', 'weft.dev/retry-on': '503' },
    look: async (from) => {
      flaky += 1;
      return counts(await ask(from, [{ url: `${url}?flaky=${flaky}` }]));
    },
    sees: '1 200',
    without: '1 503',
  },
  {
    what: 'max-request-body',
    from: 'home',
    on: onService,
    annotations: { 'weft.dev/max-request-body': '1Ki' },
    look: async (from) =>
      counts(await ask(from, [{ url, method: 'POST', body: 'x'.repeat(2_000) }])),
    sees: '1 413 BadRequestBodyTooLarge',
    without: '1 200',
  },
  {
    what: 'load-balancer: hash:header',
    from: 'far',
    on: onPair,
    annotations: { 'weft.dev/load-balancer': 'hash:header=x-user' },
    look: async (from) => {
      const users = ['ann', 'ben', 'cleo', 'dora'];
      const asked = users.map((user) => ({
        url: pairUrl,
        headers: { 'x-user': user },
        times: 6,
      }));
      const answers = await call(from, asked);
      const places = users.map((_, index) => podsOf(answers.slice(index * 6, index * 6 + 6)));
      return places.every((count) => count === 1) ? 'each at one pod' : 'at both';
    },
    sees: 'each at one pod',
    without: 'at both',
  },
];

async function annotate(on: Place, annotations: Annotations): Promise<void> {
  const words = Object.entries(annotations).map(([key, value]) => `${key}=${value}`);
  await kubectl(['annotate', '--overwrite', ...on, ...words]);
}

async function unannotate(on: Place, annotations: Annotations): Promise<void> {
  await kubectl(['annotate', ...on, ...Object.keys(annotations).map((key) => `${key}-`)]);
}

async function untilSeen(one: Case, wanted: string): Promise<void> {
  const from = callerOn(nodes[one.from]);
  await until(`${one.what}: ${wanted}`, async () => {
    const seen = await one.look(from);
    if (seen !== wanted) throw new Error(`seen: ${seen}`);
    return true;
  });
}

beforeAll(async () => {
  nodes = await twoNodes();
  await apply(namespaceWithPrograms(namespace));
  await apply([
    server({ namespace, name: 'web', nodeName: nodes.home }),
    server({ namespace, name: 'pair', replicas: 2 }),
    service(namespace, 'web', { app: 'web' }),
    service(namespace, 'pair', { app: 'pair' }),
  ]);
  await allRolledOut(namespace);
  for (const node of [nodes.home, nodes.far]) {
    await until(`both are there for ${node}`, async () =>
      counts(await ask(callerOn(node), [{ url }, { url: pairUrl }])) === '2 200' ? true : undefined,
    );
  }
});

describe('settings by kubectl annotate', () => {
  test.each(cases.map((one) => [one.what, one] as const))('%s', async (_what, one) => {
    await untilSeen(one, one.without);
    await annotate(one.on, one.annotations);
    await untilSeen(one, one.sees);
    await unannotate(one.on, one.annotations);
    await untilSeen(one, one.without);
  });

  test('a value that cannot be read is told, and the one of the Namespace counts', async () => {
    const [bad, good] = [{ 'weft.dev/timeout': 'soon' }, { 'weft.dev/timeout': '300ms' }];
    await annotate(onNamespace, good);
    const words = ['annotate', '--overwrite', ...onService, 'weft.dev/timeout=soon'];
    const { status, stderr } = await tryKubectl(words);
    const says = /weft.dev\/timeout is "soon": write a duration/;
    if (status === 0)
      await until('an Event tells it', async () => says.test(await eventsOf('web')));
    else expect(stderr).toMatch(says);
    const from = callerOn(nodes.far);
    await until('the timeout of the Namespace holds', async () => {
      const [seen] = await ask(from, [{ url: `${url}?delay=1000` }]);
      return seen === '504 TimeoutRequest' ? true : undefined;
    });
    if (status === 0) await unannotate(onService, bad);
    await unannotate(onNamespace, good);
    await until('nothing holds any more', async () => {
      const [seen] = await ask(from, [{ url: `${url}?delay=1000` }]);
      return seen === '200' ? true : undefined;
    });
  });
});

async function eventsOf(name: string): Promise<string> {
  const selector = `--field-selector=involvedObject.name=${name},type=Warning`;
  type Events = { readonly items: readonly { readonly message: string }[] };
  const { items } = await kubectlJson<Events>(['-n', namespace, 'get', 'events', selector]);
  return items.map(({ message }) => message).join('\n');
}
