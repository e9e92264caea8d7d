// `npm run test:kube`: tests against a real kube-apiserver and etcd, found through
// KUBEBUILDER_ASSETS (the envtest convention). Set and unusable is a failure, never a skip. On Linux
// the tests run in a network namespace of their own in which 10.0.0.0/8 is local, so that pods have
// real pod addresses: an API server refuses loopback ones in EndpointSlices.
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

const setUp = 'ip link set lo up && ip route add local 10.0.0.0/8 dev lo && exec "$@"';
/** As root a namespace is ours to make; else inside a user namespace, where the kernel lets us. */
const ways = [['unshare', '-n'], ['unshare', '-rn']];
const way = ways.find(
  ([file = '', ...args]) => spawnSync(file, [...args, 'sh', '-c', setUp, 'sh', 'true']).status === 0,
);
if (way === undefined) {
  console.error(
    'test:kube: cannot make a network namespace (needs unshare and ip of util-linux and iproute2, ' +
      'as root or with user namespaces allowed)',
  );
  process.exit(1);
}
const [unshare = '', ...flags] = way;
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.kube.config.ts'];
const ended = spawnSync(
  unshare,
  [...flags, 'sh', '-c', setUp, 'sh', process.execPath, ...vitest, ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(ended.status ?? 1);
