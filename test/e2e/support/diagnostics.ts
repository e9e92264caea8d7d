// Loaded by every test file: when a case fails, the state of the mesh is printed beside it – pods,
// Events, and the last lines of the logs of proxies and controllers. A failure in a cluster that is
// gone a minute later must be understood from its output alone.
import { afterEach } from 'vitest';
import { tryKubectl } from './kubectl.ts';

const home = ['-n', 'weft-system'];
const ours = ['-l', 'app.kubernetes.io/name=weft', '--prefix', '--tail=25', '--all-containers'];
const looks: readonly (readonly [title: string, args: readonly string[]])[] = [
  ['nodes', ['get', 'nodes', '-o', 'wide']],
  ['pods', ['get', 'pods', '-A', '-o', 'wide']],
  ['mesh Services', [...home, 'get', 'services,endpointslices', '-o', 'wide']],
  ['Events', ['get', 'events', '-A', '--sort-by=.metadata.creationTimestamp']],
  ['logs', [...home, 'logs', '--max-log-requests=20', '--ignore-errors', ...ours]],
  ['Corefile', ['-n', 'kube-system', 'get', 'configmap', 'coredns', '-o', 'yaml']],
];
const linesMax = 120;

export async function printDiagnostics(title: string): Promise<void> {
  console.log(`\n===== ${title}: the state of the cluster`);
  for (const [name, args] of looks) {
    const told = await tryKubectl(args, { timeoutMs: 20_000 }).catch((error: unknown) => ({
      stdout: '',
      stderr: String(error),
    }));
    const lines = `${told.stdout}${told.stderr}`.trimEnd().split('\n');
    console.log(`----- ${name}\n${lines.slice(-linesMax).join('\n')}`);
  }
}

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await printDiagnostics(task.name);
}, 150_000);
