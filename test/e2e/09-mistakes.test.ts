// Users' mistakes, one by one, as a user sees them: either `kubectl apply` refuses the object, or
// its conditions (or a Warning Event, on objects that have none) say what is wrong and what to do.
// None of them takes anything else down: at the end the namespace answers as before.
import { beforeAll, describe, expect, test } from 'vitest';
import { get, outcome } from './support/calls.ts';
import { allRolledOut } from './support/cluster.ts';
import { apply, kubectl, kubectlJson, tryKubectl, type Json } from './support/kubectl.ts';
import { mistakes, namespace } from './support/mistakes.ts';
import { namespaceWithPrograms, server, service } from './support/objects.ts';
import { callers } from './support/shop.ts';
import { until } from './support/until.ts';

type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
};

beforeAll(async () => {
  await apply(namespaceWithPrograms(namespace));
  await apply([
    server({ namespace, name: 'web' }),
    ...['web', 'web-v1'].map((name) => service(namespace, name, { app: 'web' })),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'web-other' },
      spec: { selector: { app: 'web' }, ports: [{ port: 81, targetPort: 8080 }] },
    },
  ]);
  await allRolledOut(namespace);
});

/** All that the cluster tells about the object, as lines. */
async function toldOf(object: Json): Promise<readonly string[]> {
  const { kind, name } = identityOf(object);
  const place = ['-n', namespace, 'get', kind, name];
  type Told = { readonly status?: { readonly conditions?: readonly Condition[] } };
  const { status } = await kubectlJson<Told>(place);
  const conditions = (status?.conditions ?? []).map(
    ({ type, status: holds, reason, message }) => `${type}=${holds} ${reason}: ${message}`,
  );
  const selector = `--field-selector=involvedObject.name=${name},type=Warning`;
  type Event = { readonly reason: string; readonly message: string };
  type Events = { readonly items: readonly Event[] };
  const { items } = await kubectlJson<Events>(['-n', namespace, 'get', 'events', selector]);
  return [...conditions, ...items.map(({ reason, message }) => `Event ${reason}: ${message}`)];
}

function identityOf(object: Json): { readonly kind: string; readonly name: string } {
  const { apiVersion, kind, metadata } = object as {
    readonly apiVersion: string;
    readonly kind: string;
    readonly metadata: { readonly name: string };
  };
  const [group = '', version] = apiVersion.split('/');
  return { kind: version === undefined ? kind : `${kind}.${group}`, name: metadata.name };
}

describe('mistakes', () => {
  test.each(mistakes.map((mistake) => [mistake.what, mistake] as const))(
    '%s',
    async (_what, { objects, says }) => {
      const wrong = objects.at(-1) ?? {};
      if (objects.length > 1) await apply(objects.slice(0, -1));
      const input = JSON.stringify(wrong);
      const { status, stderr } = await tryKubectl(['apply', '-f', '-'], { input });
      let told: readonly string[] = [stderr];
      if (status === 0) {
        told = await until(`${says} is told`, async () => {
          const lines = await toldOf(wrong);
          return lines.some((line) => says.test(line)) ? lines : undefined;
        }).catch(async (error: unknown) => {
          throw new Error(`${String(error)}; told was ${(await toldOf(wrong)).join(' | ')}`);
        });
      }
      const line = told.find((one) => says.test(one));
      console.log(`${status === 0 ? 'told' : 'refused'}: ${line}`);
      expect(told.join('\n')).toMatch(says);
      for (const object of objects) {
        const { kind, name } = identityOf(object);
        if (kind === 'Service') continue;
        await kubectl(['-n', namespace, 'delete', kind, name, '--ignore-not-found']);
      }
    },
  );

  test('after all of them the namespace answers as before', async () => {
    const [from] = await callers();
    if (from === undefined) throw new Error('the cluster has no node');
    const url = `http://web.${namespace}.mesh/`;
    await until('it answers', async () =>
      outcome(await get(from, url)) === '200' ? true : undefined,
    );
  });
});
