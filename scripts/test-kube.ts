// `npm run test:kube`: tests against a real kube-apiserver and etcd, found through
// KUBEBUILDER_ASSETS (the envtest convention). Set and unusable is a failure, never a skip. The
// tests run in network namespaces of their own (test/support/pod-network.ts), three at a time where
// there are two cores; files named on the command line one after the other.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { enterPodNetwork } from '../test/support/pod-network.ts';

const assets = process.env['KUBEBUILDER_ASSETS'];
if (assets === undefined || assets === '') {
  console.error(
    'test:kube needs a real kube-apiserver and etcd: set KUBEBUILDER_ASSETS to their directory, ' +
      'for instance export KUBEBUILDER_ASSETS=$(setup-envtest use -p path 1.34)',
  );
  process.exit(2);
}
for (const [name, ...args] of [
  ['etcd', '--version'],
  ['kube-apiserver', '--version'],
  ['kubectl', 'version', '--client'],
] as const) {
  const tried = spawnSync(join(assets, name), args);
  if (tried.status === 0) continue;
  const why = tried.error?.message ?? String(tried.stderr);
  console.error(`test:kube: ${join(assets, name)} does not run: ${why}`);
  process.exit(1);
}

const network = enterPodNetwork();
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.kube.config.ts'];
const args = process.argv.slice(2);
process.exit(args.length > 0 ? inOne(args) : await inLanes(availableParallelism() < 2 ? 1 : 3));

function inOne(rest: readonly string[]): number {
  const [file, ...enter] = network;
  const ended = spawnSync(file, [...enter, process.execPath, ...vitest, ...rest], {
    stdio: 'inherit',
  });
  return ended.status ?? 1;
}

/** Most of a test here is waiting: some run at a time, in networks apart, reported as one. */
async function inLanes(lanes: number): Promise<number> {
  const reports = mkdtempSync(join(tmpdir(), 'weft-kube-reports-'));
  const batches = batchesOf(4 * lanes);
  const codes: number[] = [];
  async function lane(): Promise<void> {
    for (let batch = batches.pop(); batch !== undefined; batch = batches.pop()) {
      codes.push(await runBatch(batch, join(reports, `${batches.length}.json`)));
    }
  }
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
    // What counts, and `WEFT_TEST_REPORT`, is the merged report: one list of all tests.
    const merge = [...vitest, `--merge-reports=${reports}`];
    const merged = spawnSync(process.execPath, merge, { stdio: 'inherit' });
    return Math.max(...codes, merged.status ?? 1);
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}

/** Each has something of the large files, of the middling and of the small ones. */
function batchesOf(count: number): string[][] {
  const folder = 'test/kube';
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
  const sized = files.map((name) => ({ name, size: statSync(join(folder, name)).size }));
  const batches: string[][] = Array.from({ length: Math.min(count, files.length) }, () => []);
  sized
    .sort((a, b) => b.size - a.size)
    .forEach(({ name }, at) => {
      batches[at % batches.length]?.push(join(folder, name));
    });
  return batches;
}

function runBatch(files: readonly string[], report: string): Promise<number> {
  const flags = [...files, '--reporter=default', '--reporter=blob', `--outputFile.blob=${report}`];
  const [file, ...enter] = network;
  const env = { ...process.env };
  delete env['WEFT_TEST_REPORT'];
  const command = [...enter, process.execPath, ...vitest, ...flags];
  const child = spawn(file, command, { stdio: 'inherit', env });
  return new Promise((resolve) => {
    child.once('error', () => {
      resolve(1);
    });
    child.once('exit', (code) => {
      resolve(code ?? 1);
    });
  });
}
