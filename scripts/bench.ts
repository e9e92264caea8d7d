// `npm run bench [-- NAME…]`: measurements, printed as lines. Speed is asserted here and nowhere in
// the tests; figures are this machine's, ratios within one run are what counts. Without a name all
// of them run; `cluster` needs KUBEBUILDER_ASSETS and a network namespace, like the kube tests.
// Flags are those of `dataplane` (test/bench/dataplane.ts), which is meant when they come alone.
import { spawnSync } from 'node:child_process';
import { benchAllocation } from '../test/bench/allocation.ts';
import { benchBalance } from '../test/bench/balance.ts';
import { benchCodec } from '../test/bench/codec.ts';
import { benchCompiler } from '../test/bench/compiler.ts';
import { benchDataplane } from '../test/bench/dataplane.ts';
import { benchFaults } from '../test/bench/faults.ts';
import { benchFeatures } from '../test/bench/features.ts';
import { benchHttp2 } from '../test/bench/http2.ts';
import { benchLimits } from '../test/bench/limits.ts';
import { benchRoute } from '../test/bench/route.ts';
import { benchScale } from '../test/bench/scale.ts';
import { benchStorm } from '../test/bench/tunnel-storm.ts';
import { benchTunnels } from '../test/bench/tunnels.ts';
import { benchTcp } from '../test/bench/tcp.ts';
import { benchUdp } from '../test/bench/udp.ts';
import { enterPodNetwork } from '../test/support/pod-network.ts';

const inProcess: ReadonlyMap<string, () => Promise<readonly string[]>> = new Map([
  ['compiler', benchCompiler],
  ['route', benchRoute],
  ['balance', benchBalance],
  ['codec', benchCodec],
  ['storm', benchStorm],
  ['udp', benchUdp],
  ['tcp', benchTcp],
  ['limits', benchLimits],
]);
const withFlags: ReadonlyMap<string, (flags: readonly string[]) => Promise<number>> = new Map([
  ['dataplane', benchDataplane],
  ['tunnels', benchTunnels],
  ['features', benchFeatures],
  ['faults', benchFaults],
  ['allocation', benchAllocation],
  ['scale', benchScale],
  ['http2', benchHttp2],
]);
const all = [...inProcess.keys(), ...withFlags.keys(), 'cluster'];
const given = process.argv.slice(2);
const flagsAt = given.findIndex((one) => one.startsWith('--'));
const flags = flagsAt < 0 ? [] : given.slice(flagsAt);
const asked = flagsAt === 0 ? ['dataplane'] : given.slice(0, given.length - flags.length);
const unknown = asked.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`bench: no measurement ${unknown.join(', ')}; there are ${all.join(', ')}`);
  process.exit(2);
}
for (const name of asked.length > 0 ? asked : all) {
  console.log(`\n== ${name}`);
  const measure = inProcess.get(name);
  if (measure !== undefined) {
    for (const line of await measure()) console.log(line);
    continue;
  }
  const bench = withFlags.get(name);
  if (bench !== undefined) {
    const code = await bench(flags);
    if (code !== 0) process.exitCode = code;
    continue;
  }
  if ((process.env['KUBEBUILDER_ASSETS'] ?? '') === '') {
    console.log('cluster: set KUBEBUILDER_ASSETS to measure against a real kube-apiserver');
    continue;
  }
  const [file, ...args] = enterPodNetwork();
  const ended = spawnSync(file, [...args, process.execPath, 'build/bench-cluster.js'], {
    stdio: 'inherit',
  });
  if (ended.status !== 0) process.exitCode = 1;
}
