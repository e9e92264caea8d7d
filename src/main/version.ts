// Which build this is. The version is package.json's (bundled as data) and the same for every build
// between two releases; the name of a build tells those apart too: it ends with a digest of the two
// bundles that run. One word each for the CLI, `/version` and the greeting of a tunnel.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import facts from '../../package.json' with { type: 'json' };

export const buildVersion: string = facts.version;

/** Side by side wherever a build lies: in `dist/`, and in the image. */
const bundles = ['weft.js', 'worker.js'] as const;

/** 48 bits: builds of one version are few, and nobody gains by two that look alike. */
const digestDigits = 12;

/** `0.1.0+3f9c1d2e4b5a`; the version alone where nothing is bundled (tests run sources). */
export function buildName(): string {
  const files = bundles.map((name) => new URL(name, import.meta.url));
  if (!files.every((file) => existsSync(file))) return buildVersion;
  const digest = createHash('sha256');
  for (const file of files) digest.update(readFileSync(file));
  return `${buildVersion}+${digest.digest('hex').slice(0, digestDigits)}`;
}
