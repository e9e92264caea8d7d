// A node on which no proxy can run. The cluster has none, so one is made up: a Node object as a
// Windows machine's kubelet would register it. It is named by `weft check` before and after an
// installation, and by an Event on the DaemonSet, which takes no notice of it otherwise.
import { afterAll, describe, expect, test } from 'vitest';
import { meshNamespace, nodeNames, proxies } from './support/cluster.ts';
import { kubectl, kubectlJson } from './support/kubectl.ts';
import { until } from './support/until.ts';
import { weft } from './support/weft.ts';

const name = 'windows-1';
const node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/os': 'windows', 'kubernetes.io/arch': 'amd64' } },
};

afterAll(async () => {
  await kubectl(['delete', 'node', name, '--ignore-not-found']);
  await until('it is gone', async () => ((await nodeNames()).includes(name) ? undefined : true));
});

describe('a node that can have no proxy', () => {
  test('is named by an Event on DaemonSet weft-proxy', async () => {
    const before = await proxies();
    await kubectl(['create', '-f', '-'], { input: JSON.stringify(node) });
    const about = 'involvedObject.kind=DaemonSet,reason=NodeWithoutProxy';
    type Events = { readonly items: readonly { readonly message: string }[] };
    const message = await until('an Event says so', async () => {
      const place = ['-n', meshNamespace, 'get', 'events', `--field-selector=${about}`];
      return (await kubectlJson<Events>(place)).items[0]?.message;
    });
    console.log(message);
    expect(message).toContain(`${name} (it is windows/amd64)`);
    expect(message).toContain('nodeSelector');
    const described = await kubectl(['-n', meshNamespace, 'describe', 'daemonset', 'weft-proxy']);
    expect(described).toContain('NodeWithoutProxy');
    const wanted = ['-o', 'jsonpath={.status.desiredNumberScheduled}'];
    expect(await kubectl(['-n', meshNamespace, 'get', 'daemonset', 'weft-proxy', ...wanted])).toBe(
      String(before.size),
    );
  });

  test.each([
    ['weft check', ['check', '--no-probe']],
    ['weft check --pre', ['check', '--pre', '--no-probe']],
  ])('is named by %s, as a warning', async (_what, args) => {
    const { stdout } = await weft([...args, '-o', 'json']);
    type Findings = {
      readonly items: readonly { readonly message: string; readonly state: string }[];
    };
    // What else the two find is not the question here.
    const { items } = JSON.parse(stdout) as Findings;
    const found = items.filter(({ message }) => message.startsWith(`${name} cannot run a proxy`));
    expect(found).toMatchObject([{ state: 'warning' }]);
    expect(found[0]?.message).toContain('it is windows/amd64');
  });
});
