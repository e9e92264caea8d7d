// An independent oracle of the embedded server's watch: client-node's own informer, which shares no
// code with ours. After random writes its cache must be what a list says, and the events that it
// saw must be a possible history of each object.
import { KubeConfig, CoreV1Api, makeInformer, type V1ConfigMap } from '@kubernetes/client-node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { startApiServer, type ApiServer } from '../../src/playground/index.ts';

const namespace = 'default';
const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const steps = 300;

let server: ApiServer;
let config: KubeConfig;
let api: CoreV1Api;

beforeEach(async () => {
  server = await startApiServer({ runtime: realRuntime });
  config = new KubeConfig();
  config.loadFromString(server.kubeconfig());
  api = config.makeApiClient(CoreV1Api);
});
afterEach(() => server.close());

async function writeAtRandom(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const present = new Set<string>();
  for (let step = 0; step < steps; step += 1) {
    const name = names[Math.floor(random() * names.length)] ?? 'a';
    const body = { metadata: { name }, data: { step: String(step) } };
    if (!present.has(name)) {
      await api.createNamespacedConfigMap({ namespace, body });
      present.add(name);
    } else if (random() < 0.7) {
      await api.replaceNamespacedConfigMap({ namespace, name, body });
    } else {
      await api.deleteNamespacedConfigMap({ namespace, name });
      present.delete(name);
    }
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}

function facts(items: readonly V1ConfigMap[]): readonly string[] {
  return items
    .map((item) => `${item.metadata?.name} ${item.metadata?.uid} ${item.metadata?.resourceVersion}`)
    .toSorted();
}

test('an informer that follows random writes ends with what a list says', async () => {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const informer = makeInformer(config, path, () => api.listNamespacedConfigMap({ namespace }));
  const live = new Set<string>();
  const broken: string[] = [];
  let last = '';
  const see = (what: string, object: V1ConfigMap, isDue: boolean): void => {
    const name = object.metadata?.name ?? '';
    if (live.has(name) !== isDue)
      broken.push(`${what} of ${name}, which was ${isDue ? 'not ' : ''}there`);
    last = object.data?.['step'] ?? '';
  };
  informer.on('add', (object) => {
    see('add', object, false);
    live.add(object.metadata?.name ?? '');
  });
  informer.on('update', (object) => see('update', object, true));
  informer.on('delete', (object) => {
    see('delete', object, true);
    live.delete(object.metadata?.name ?? '');
  });
  await informer.start();
  await writeAtRandom(7);
  await api.createNamespacedConfigMap({
    namespace,
    body: { metadata: { name: 'end' }, data: { step: 'end' } },
  });
  await until(() => last === 'end');
  const { items } = await api.listNamespacedConfigMap({ namespace });
  await informer.stop();
  expect(broken).toEqual([]);
  expect(facts(informer.list())).toEqual(facts(items));
});
