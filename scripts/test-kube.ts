// `npm run test:kube`: tests against a real kube-apiserver and etcd, found through
// KUBEBUILDER_ASSETS (the envtest convention). Set and unusable is a failure, never a skip. The
// tests run in a network namespace of their own (test/support/pod-network.ts).
import { spawnSync } from 'node:child_process';
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

const [file, ...args] = enterPodNetwork();
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.kube.config.ts'];
const ended = spawnSync(file, [...args, process.execPath, ...vitest, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exit(ended.status ?? 1);
