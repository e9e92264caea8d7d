// Every test that needs nothing but Node. Tests against a real API server (test/kube) and a real
// cluster (test/e2e) have commands of their own.
import { defineConfig } from 'vitest/config';

const report = process.env['WEFT_TEST_REPORT'];

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts'],
    exclude: ['test/kube/**', 'test/e2e/**', 'node_modules/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    // Half of the time a test waits for a deadline or a peer.
    maxWorkers: 4,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
