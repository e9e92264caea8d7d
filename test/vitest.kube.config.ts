// Tests against a real kube-apiserver, and what the embedded one claims, run against both
// (`npm run test:kube`). One file at a time: each starts a control plane.
import { defineConfig } from 'vitest/config';

const report = process.env['WEFT_TEST_REPORT'];

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/kube/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    fileParallelism: false,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
