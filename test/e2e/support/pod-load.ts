// Load that no `kubectl exec` holds: a pod that runs for a fixed time and leaves its result in its
// log. For the times when the API server is away.
import type { From, LoadPlan, LoadResult } from './calls.ts';
import { apply, kubectl } from './kubectl.ts';
import { nodeOf } from './cluster.ts';
import { plainPod } from './objects.ts';

export type PodLoad = { readonly result: () => Promise<LoadResult> };

/** Beside the client, on its node; resolves when the load runs. */
export async function startPodLoad(
  from: From,
  plan: LoadPlan & { readonly seconds: number },
): Promise<PodLoad> {
  const { namespace, client } = from;
  const name = `load-${client}`;
  const nodeName = await nodeOf(namespace, client);
  const command = ['node', '-e', spawning(plan)];
  await kubectl(['-n', namespace, 'delete', 'pod', name, '--ignore-not-found']);
  await apply([plainPod({ namespace, name, nodeName, serviceAccount: 'caller' }, command)]);
  await kubectl(['-n', namespace, 'wait', `pod/${name}`, '--for=condition=Ready', '--timeout=60s']);
  return {
    result: async () => {
      const done = '--for=jsonpath={.status.phase}=Succeeded';
      const seconds = plan.seconds + 60;
      await kubectl(['-n', namespace, 'wait', `pod/${name}`, done, `--timeout=${seconds}s`], {
        timeoutMs: (seconds + 10) * 1_000,
      });
      const log = await kubectl(['-n', namespace, 'logs', name]);
      await kubectl(['-n', namespace, 'delete', 'pod', name, '--wait=false']);
      const line = log.split('\n').find((one) => one.startsWith('{'));
      if (line === undefined) throw new Error(`${name} left no result: ${log}`);
      // Written by programs/load.ts.
      return JSON.parse(line) as LoadResult;
    },
  };
}

/** A parent that keeps the standard input of the load open. */
function spawning(plan: LoadPlan): string {
  const args = JSON.stringify(['/programs/load.ts', JSON.stringify(plan)]);
  const stdio = "{stdio: ['pipe', 'inherit', 'inherit']}";
  const child = `require('child_process').spawn('node', ${args}, ${stdio})`;
  return `${child}.on('exit', (code) => process.exit(code))`;
}
