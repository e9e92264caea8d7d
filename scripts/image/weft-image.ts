// The image of weft: base and payload put together with what a container needs to be told. The
// Dockerfile says the same in its own words; a test holds the two against each other.
import type { Base } from './base.ts';
import { runUser } from './base.ts';
import type { Archive } from './oci.ts';
import { imageArchive } from './oci.ts';
import type { Payload } from './payload.ts';
import { home } from './payload.ts';

export type WeftImage = {
  readonly base: Base;
  readonly payload: Payload;
  readonly tag: string;
  readonly version: string;
};

/** Node where official images have it, and where distroless ones do; nothing else is started. */
const searchPath = 'PATH=/usr/local/bin:/nodejs/bin:/usr/bin:/bin';

/**
 * What glibc's allocator is told: buffers of 64 kB and more are mappings of their own, and go back
 * to the kernel when they are freed, and so does the end of each arena. Else what the start needs
 * for a moment stays: 20 MB.
 */
export const allocator: Readonly<Record<string, string>> = {
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TRIM_THRESHOLD_: '65536',
};

/**
 * No code from strings and no `__proto__`: what an attacker would need, and we do not. Young
 * objects have 4 MB twice in each thread.
 */
export const nodeFlags: readonly string[] = [
  '--disable-proto=delete',
  '--disallow-code-generation-from-strings',
  '--max-semi-space-size=4',
];

/** Exec form: no shell is there to start it, and signals reach process 1. */
export const entrypoint: readonly string[] = ['node', ...nodeFlags, `/${home}/dist/weft.js`];

const allocatorLines = Object.entries(allocator).map(([name, value]) => `${name}=${value}`);

export function weftImage({ base, payload, tag, version }: WeftImage): Archive {
  return imageArchive({
    tag,
    architecture: base.architecture,
    layers: [...base.layers, payload.layer],
    config: {
      User: `${runUser}:${runUser}`,
      Env: [searchPath, 'NODE_ENV=production', ...allocatorLines],
      Entrypoint: entrypoint,
      WorkingDir: `/${home}`,
      StopSignal: 'SIGTERM',
      Labels: {
        'org.opencontainers.image.title': 'weft',
        'org.opencontainers.image.description':
          'A service mesh for Kubernetes with one proxy per node',
        'org.opencontainers.image.licenses': 'Apache-2.0',
        'org.opencontainers.image.version': version,
      },
    },
  });
}
