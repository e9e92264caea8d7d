// The objects of an installation with its defaults, for tests that need some of them in a real API
// server.
import { installed } from '../../../src/cli/install/install-objects.ts';
import { objectOf } from '../../../src/cli/install/manifest.ts';
import { initialValues } from '../../../src/cli/install/read-values.ts';
import type { KubeObject } from './tools.ts';

export function installedObjects(): readonly KubeObject[] {
  // All manifests have what a KubeObject has.
  return installed(initialValues(), 'weft-system', '0.0.0').map(
    (one) => objectOf(one) as unknown as KubeObject,
  );
}
