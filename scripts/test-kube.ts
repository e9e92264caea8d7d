// `npm run test:kube`: tests against a real kube-apiserver and etcd, found through
// KUBEBUILDER_ASSETS (the envtest convention). Set and unusable is a failure, never a skip.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const assets = process.env['KUBEBUILDER_ASSETS'];
if (assets === undefined || assets === '') {
  console.error(
    'test:kube needs a real kube-apiserver and etcd: set KUBEBUILDER_ASSETS to their directory, ' +
      'for instance export KUBEBUILDER_ASSETS=$(setup-envtest use -p path 1.34)',
  );
  process.exit(2);
}
for (const name of ['etcd', 'kube-apiserver', 'kubectl']) {
  const path = join(assets, name);
  const tried = spawnSync(path, [name === 'kubectl' ? 'version' : '--version', ...(name === 'kubectl' ? ['--client'] : [])]);
  if (tried.status === 0) continue;
  console.error(`test:kube: ${path} does not run: ${tried.error?.message ?? String(tried.stderr)}`);
  process.exit(1);
}
const ended = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.kube.config.ts', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(ended.status ?? 1);
