// Loaded by every test file: when a case fails, the state of the mesh is printed beside it: pods,
// warnings, and the last lines of the logs of proxies and controllers. A failure in a cluster that
// is gone a minute later must be understood from its output alone.
import { afterEach } from 'vitest';
import { tryKubectl } from './kubectl.ts';

const newestLast = '--sort-by=.metadata.creationTimestamp';
const home = ['-n', 'weft-system'];
const ours = ['-l', 'app.kubernetes.io/name=weft', '--prefix', '--tail=25', '--all-containers'];
const looks: readonly (readonly [title: string, args: readonly string[]])[] = [
  ['pods', ['get', 'pods', '-A', '-o', 'wide']],
  ['mesh Services', [...home, 'get', 'services,endpointslices,configmaps']],
  ['Warnings', ['get', 'events', '-A', '--field-selector=type=Warning', newestLast]],
  ['logs', [...home, 'logs', '--max-log-requests=20', '--ignore-errors', ...ours]],
  ['Corefile', ['-n', 'kube-system', 'get', 'cm', 'coredns', '-o', 'jsonpath={.data.Corefile}']],
];
const linesMax = 40;
const columnsMax = 300;

export async function printDiagnostics(title: string): Promise<void> {
  console.log(`\n===== ${title}: the state of the cluster`);
  for (const [name, args] of looks) {
    const told = await tryKubectl(args, { timeoutMs: 20_000 }).catch((error: unknown) => ({
      stdout: '',
      stderr: String(error),
    }));
    const lines = `${told.stdout}${told.stderr}`.trimEnd().split('\n');
    console.log(`----- ${name}\n${shown(lines)}`);
  }
}

function shown(lines: readonly string[]): string {
  return lines
    .slice(-linesMax)
    .map((line) => line.slice(0, columnsMax))
    .join('\n');
}

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await printDiagnostics(task.name);
}, 150_000);
