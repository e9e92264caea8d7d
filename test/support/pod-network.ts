// A network namespace of its own in which 10.0.0.0/8 is local, so that tests have real pod
// addresses: an API server refuses loopback ones in EndpointSlices. Linux only.
import { spawnSync } from 'node:child_process';

const setUp = 'ip link set lo up && ip route add local 10.0.0.0/8 dev lo && exec "$@"';

/**
 * The command line in front of a command that shall run in there. As root a namespace is ours to
 * make; else inside a user namespace, where the kernel lets us. Throws when neither works.
 */
export function enterPodNetwork(): readonly [string, ...string[]] {
  for (const flags of [['-n'], ['-rn']]) {
    const args = [...flags, 'sh', '-c', setUp, 'sh'];
    if (spawnSync('unshare', [...args, 'true']).status === 0) return ['unshare', ...args];
  }
  throw new Error(
    'cannot make a network namespace (needs unshare and ip (util-linux, iproute2), as root or ' +
      'with user namespaces allowed)',
  );
}
