// `npm run test:kube`: tests against a real kube-apiserver and etcd, found through
// KUBEBUILDER_ASSETS (the envtest convention). Set and unusable is a failure, never a skip. The
// tests run in network namespaces of their own (test/support/pod-network.ts), half of the files in
// each where there are two cores; files named on the command line in one.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
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
process.exit(args.length > 0 || availableParallelism() < 2 ? inOne(args) : await inHalves());

function inOne(rest: readonly string[]): number {
  const [file, ...enter] = network;
  const ended = spawnSync(file, [...enter, process.execPath, ...vitest, ...rest], {
    stdio: 'inherit',
  });
  return ended.status ?? 1;
}

/** Most of a test here is waiting: two run at a time, in networks apart, and report as one. */
async function inHalves(): Promise<number> {
  const reports = mkdtempSync(join(tmpdir(), 'weft-kube-reports-'));
  try {
    const codes = await Promise.all([half('1/2', reports), half('2/2', reports)]);
    // What counts, and `WEFT_TEST_REPORT`, is the merged report: one list of all tests.
    const merge = [...vitest, `--merge-reports=${reports}`];
    const merged = spawnSync(process.execPath, merge, { stdio: 'inherit' });
    return Math.max(...codes, merged.status ?? 1);
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}

function half(shard: string, reports: string): Promise<number> {
  const report = join(reports, `${shard.replace('/', '-')}.json`);
  const flags = [`--shard=${shard}`, '--reporter=default', '--reporter=blob'];
  const [file, ...enter] = network;
  const env = { ...process.env };
  delete env['WEFT_TEST_REPORT'];
  const rest = [...vitest, ...flags, `--outputFile.blob=${report}`];
  const child = spawn(file, [...enter, process.execPath, ...rest], { stdio: 'inherit', env });
  return new Promise((resolve) => {
    child.once('error', () => {
      resolve(1);
    });
    child.once('exit', (code) => {
      resolve(code ?? 1);
    });
  });
}
