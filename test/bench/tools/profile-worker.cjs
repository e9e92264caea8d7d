// For `WEFT_BENCH_NODE_FLAGS='--require ./test/bench/tools/profile-worker.cjs'`: every worker thread
// of the proxy under test writes a CPU profile into the working directory's build/ when it ends.
// The product knows nothing of this; what is measured with it is dearer than without.
const threads = require('node:worker_threads');
const { syncBuiltinESMExports } = require('node:module');

const Original = threads.Worker;
threads.Worker = class extends Original {
  constructor(file, options) {
    const flags = ['--cpu-prof', '--cpu-prof-dir=build/profiles', '--cpu-prof-interval=500'];
    super(file, { ...options, execArgv: flags });
  }
};
syncBuiltinESMExports();
