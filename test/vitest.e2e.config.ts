// The end-to-end suite (`npm run test:e2e`): files in the order of their names, one after the
// other, against one cluster. Nothing is tried twice; the first failure ends the run, because what
// comes later builds on it.
import { defineConfig } from 'vitest/config';

const report = process.env['WEFT_TEST_REPORT'];

/** By name: what a case finds is what those before it left. */
class ByName {
  sort<T extends { readonly moduleId: string }>(files: readonly T[]): readonly T[] {
    return files.toSorted((left, right) => (left.moduleId < right.moduleId ? -1 : 1));
  }

  shard<T>(files: readonly T[]): readonly T[] {
    return files;
  }
}

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/e2e/**/*.test.ts'],
    setupFiles: ['test/e2e/support/diagnostics.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    bail: 1,
    pool: 'forks',
    fileParallelism: false,
    // The class has the two methods that vitest calls; its type asks for vitest's own base class.
    sequence: { sequencer: ByName as never },
    reporters: report === undefined ? ['verbose'] : ['verbose', ['json', { outputFile: report }]],
  },
});
