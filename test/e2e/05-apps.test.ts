// What users do with their apps while a mesh carries their traffic: scale, roll out, start pods
// that call before they are ready. And a namespace that imitates mesh names, which gains nothing.
import { describe, expect, test } from 'vitest';
import { failuresOf, get, outcome, startLoad } from './support/calls.ts';
import { nodeNames, rolledOut } from './support/cluster.ts';
import { createImitation, imitator } from './support/imitation.ts';
import { apply, kubectl } from './support/kubectl.ts';
import { podOf } from './support/objects.ts';
import { apiUrl, callerOn, callers } from './support/shop.ts';
import { until } from './support/until.ts';

describe('apps', () => {
  test('scaled up and down and rolled out under load: no request fails', async () => {
    const loads = await Promise.all(
      (await callers()).map((from) => startLoad(from, { urls: [apiUrl], perSecond: 60 })),
    );
    const scale = (count: number) =>
      kubectl(['-n', 'shop', 'scale', 'deployment/api-v1', `--replicas=${count}`]);
    await scale(5);
    await rolledOut('shop', 'deployment/api-v1');
    await scale(1);
    await kubectl(['-n', 'shop', 'rollout', 'restart', 'deployment/api-v2']);
    await rolledOut('shop', 'deployment/api-v2');
    await scale(2);
    await rolledOut('shop', 'deployment/api-v1');
    // Until the last of the old pods has gone.
    await until('only four pods are left', async () => {
      const pods = await kubectl(['-n', 'shop', 'get', 'pods', '-l', 'part=api', '-o', 'name']);
      return pods.trim().split('\n').length === 4 ? true : undefined;
    });
    const results = await Promise.all(loads.map((load) => load.stop()));
    console.log(JSON.stringify(results.map(({ sent, durationsMs }) => ({ sent, durationsMs }))));
    expect(results.flatMap(failuresOf)).toEqual([]);
    for (const { sent, answered } of results) expect(answered).toBe(sent);
  });

  test('an init container of a new pod calls a mesh name', async () => {
    const script = `${fetchJson} && process.exit(0); process.exit(1);`;
    const command = ['node', '--input-type=module', '-e', script];
    const pod = podOf({ namespace: 'web', name: 'early', serviceAccount: 'caller' }, command);
    await apply([pod]);
    await kubectl(['-n', 'web', 'wait', 'pod/early', '--for=condition=Ready', '--timeout=60s']);
    await kubectl(['-n', 'web', 'delete', 'pod/early', '--wait=false']);
  });

  test('a namespace called as the mesh domain hijacks no mesh name', async () => {
    await createImitation();
    const [node = ''] = await nodeNames();
    for (let time = 0; time < 12; time += 1) {
      const answer = await get(callerOn(node), apiUrl);
      expect(answer.body).not.toContain(imitator);
      expect(outcome(answer)).toBe('200');
    }
    await kubectl(['delete', 'namespace', 'mesh', '--wait=false']);
  });
});

const fetchJson = `(await fetch('${apiUrl}')).status === 200`;
