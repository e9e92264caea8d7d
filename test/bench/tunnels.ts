// `npm run bench -- tunnels [--only weft,nginx,haproxy] [--against REF] [--row WORD] [--rounds N]
// [--seconds N]`: two hops with mutual TLS between them – client, proxy of its node, TLS, proxy of
// the pod's node, pod – beside nginx and HAProxy chains that do the same and nothing else, or the
// build of another commit. CPU of both proxies together, on one core, rounds interleaved; ours runs
// as in a cluster: embedded API server, controller that signs, pods with identities, TrafficTargets
// enforced where the pod is.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runsElsewhere } from '../../src/playground/cluster/kubelets.ts';
import { resourcePath } from '../../src/kube/index.ts';
import { PlaygroundMesh } from '../support/playground-mesh.ts';
import { buildOther } from './dataplane-against.ts';
import { podPort, servedPods, sources } from './dataplane-mesh.ts';
import { median, ratioOf, ratioText, tableLines, valuesOf } from './dataplane-rows.ts';
import type { Samples } from './dataplane-rows.ts';
import {
  buildTools,
  get,
  loadCore,
  moveToLoadCore,
  processTree,
  proxyCore,
  runLoad,
  startChild,
  until,
  type LoadResult,
  type Work,
} from './dataplane-tools.ts';
import { startChain, type ChainName } from './tunnels-rivals.ts';

const megabyte = 1_048_576;
const small = { path: '/bytes/200', answerBytes: 200 };

type ChainRow = {
  readonly title: string;
  readonly work: Work;
  /** Highest ratio of CPU to each of the others. */
  readonly target: number | undefined;
};

const rows: readonly ChainRow[] = [
  { title: 'GET 200 B, 64 connections', work: { ...small, connections: 64 }, target: 0.95 },
  {
    title: 'GET 1 MB, 16 connections',
    work: { path: `/bytes/${megabyte}`, answerBytes: megabyte, connections: 16 },
    target: 1.15,
  },
];
const paced: ChainRow = {
  title: 'GET 200 B, 1 000 requests/s, 64 connections',
  work: { ...small, connections: 64, rate: 1_000 },
  target: undefined,
};

/** One way to the pod: a chain of two proxies, or none. */
type Chain = {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly host: string;
  readonly pids: readonly number[];
};

type Wish = {
  readonly only: readonly string[];
  /** A commit whose build is measured besides, as `before`. */
  readonly against: string | undefined;
  /** Rows whose title has it. */
  readonly row: string;
  readonly rounds: number;
  readonly seconds: number;
};

function wishOf(argv: readonly string[]): Wish {
  const given = new Map<string, string>();
  const words = argv.flatMap((one) => one.split('='));
  for (let at = 0; at < words.length; at += 2) given.set(words[at] ?? '', words[at + 1] ?? '');
  return {
    only: (given.get('--only') ?? 'weft,nginx,haproxy').split(','),
    against: given.get('--against'),
    row: given.get('--row') ?? '',
    rounds: Number(given.get('--rounds') ?? 5),
    seconds: Number(given.get('--seconds') ?? 1.5),
  };
}

/** Runs to the end and prints; the answer is the exit code. */
export async function benchTunnels(argv: readonly string[]): Promise<number> {
  const wish = wishOf(argv);
  const directory = mkdtempSync(join(tmpdir(), 'weft-chain-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const tools = buildTools();
    moveToLoadCore();
    const command = [tools.up, String(podPort), servedPods.first, String(servedPods.count)];
    const up = startChild({ core: loadCore, command, logFile: join(directory, 'up.log') });
    stops.push(() => up.stop());
    await until('the pods listen', () => up.lastLines().endsWith('ready'));
    const chains: Chain[] = [];
    if (wish.only.includes('weft')) chains.push(await startWeftChain(stops));
    if (wish.against !== undefined) chains.push(await startOtherBuild(wish.against, stops));
    for (const name of ['nginx', 'haproxy'] as const satisfies readonly ChainName[]) {
      if (!wish.only.includes(name)) continue;
      const chain = await startChain(name, directory);
      stops.push(chain.stop);
      chains.push({ ...chain, name, host: 'web.bench.mesh' });
    }
    return await measure(tools.load, chains, wish);
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(tool: string, chains: readonly Chain[], wish: Wish): Promise<number> {
  let failed = 0;
  const run = async (chain: Chain, work: Work, seconds: number): Promise<LoadResult> => {
    const { address, port, host, pids } = chain;
    const target = { address, port, host };
    const how = { work, target, sources, pids, seconds, warmUpSeconds: 0.5 };
    const result = await runLoad(tool, how);
    if (result.errors > 0) {
      failed += 1;
      console.log(`  void: ${chain.name}: ${result.errors} errors, first: ${result.firstError}`);
    }
    return result;
  };
  const place = { address: servedPods.first, port: podPort, host: 'web' };
  const direct = { name: 'direct', ...place, pids: [] };
  const tables: Map<string, Samples> = new Map();
  for (const row of [...rows, paced].filter(({ title }) => title.includes(wish.row))) {
    const all = row === paced ? [...chains, direct] : chains;
    const samples = new Map(all.map(({ name }): [string, LoadResult[]] => [name, []]));
    for (const chain of all) await run(chain, row.work, isOurs(chain) ? 8 : 1);
    for (let round = 0; round < wish.rounds; round += 1) {
      // The order turns, so that nobody is always the first.
      for (const [at] of all.entries()) {
        const chain = all[(at + round) % all.length];
        if (chain !== undefined) {
          samples.get(chain.name)?.push(await run(chain, row.work, wish.seconds));
        }
      }
    }
    tables.set(row.title, samples);
  }
  for (const line of report(tables, chains)) console.log(line);
  return failed > 0 ? 1 : 0;
}

function report(tables: ReadonlyMap<string, Samples>, chains: readonly Chain[]): readonly string[] {
  const names = chains.map(({ name }) => name);
  const others = names.filter((name) => name !== 'weft');
  const cells = [['work', ...names.map((one) => `${one} µs`), ...others.map((o) => `weft / ${o}`)]];
  for (const { title, target } of rows) {
    const samples = tables.get(title);
    if (samples === undefined) continue;
    const cpu = (one: LoadResult): number => one.cpuUs;
    cells.push([
      title,
      ...names.map((name) => median(valuesOf(samples, name, cpu)).toFixed(1)),
      ...others.map((theirs) => ratioText(ratioOf(samples, { ours: 'weft', theirs }, cpu), target)),
    ]);
  }
  const samples = tables.get(paced.title);
  if (samples === undefined) return ['', ...tableLines(cells)];
  const of = (name: string, value: (one: LoadResult) => number): number =>
    median(valuesOf(samples, name, value));
  const lines = names.map((name) => {
    const added = (value: (one: LoadResult) => number): string =>
      ((of(name, value) - of('direct', value)) / 1_000).toFixed(2);
    const [p50, p99] = [added((one) => one.p50Us), added((one) => one.p99Us)];
    const cores = of(name, (one) => one.utilisation).toFixed(2);
    return `${name} at 1 000/s: p50 +${p50} ms, p99 +${p99} ms over direct; ${cores} cores`;
  });
  return ['', ...tableLines(cells), '', ...lines];
}

// ---- ours ---------------------------------------------------------------------------------------

const namespace = 'bench';
const account = (name: string) => ({ kind: 'ServiceAccount', name, namespace });

/** The compiler of Node goes on improving the code for seconds. */
function isOurs({ name }: Chain): boolean {
  return name === 'weft' || name === 'before';
}

async function startOtherBuild(ref: string, stops: (() => Promise<void>)[]): Promise<Chain> {
  const { program, remove } = buildOther(ref);
  stops.push(() => Promise.resolve(remove()));
  return { ...(await startWeftChain(stops, program)), name: 'before' };
}

async function startWeftChain(
  stops: (() => Promise<void>)[],
  program?: string,
): Promise<Chain> {
  const mesh = await PlaygroundMesh.start(program);
  stops.push(() => mesh.stop());
  await createObjects(mesh);
  await mesh.startProxies('--workers', '1', '--mtls', 'strict');
  const children = [1, 2].map((node) => mesh.childOf(`proxy ${node}`));
  // In order, so that a profile (tools/profile-worker.cjs, in NODE_OPTIONS) is written.
  stops.push(async () => {
    for (const { process: child } of children) child.kill('SIGTERM');
    await Promise.all(children.map(({ ended }) => ended));
  });
  const pids = children.flatMap(({ process: { pid } }) => {
    return pid === undefined ? [] : processTree(pid);
  });
  for (const pid of pids) {
    execFileSync('taskset', ['-a', '-c', '-p', String(proxyCore), String(pid)]);
  }
  await until('the mesh Service', async () => (await mesh.listenerPort()) > 0);
  const host = `web.${namespace}.mesh`;
  const [address, port] = [mesh.addressOf(1), await mesh.listenerPort()];
  const url = `http://${address}:${port}${small.path}`;
  const call = { localAddress: sources.first, headers: { host } };
  await until('weft routes', async () => (await get(url, call)).status === 200);
  return { name: 'weft', address, port, host, pids };
}

async function createObjects(mesh: PlaygroundMesh): Promise<void> {
  const annotations = { 'weft.dev/policy': 'enforce' };
  const metadata = { name: namespace, annotations };
  await mesh.create({ apiVersion: 'v1', kind: 'Namespace', metadata });
  const prefix = (first: string): string => first.slice(0, first.lastIndexOf('.'));
  for (let index = 1; index <= sources.count; index += 1) {
    await createPod(mesh, { name: 'client', node: 1, ip: `${prefix(sources.first)}.${index}` });
  }
  for (let index = 1; index <= servedPods.count; index += 1) {
    await createPod(mesh, { name: 'web', node: 2, ip: `${prefix(servedPods.first)}.${index}` });
  }
  await mesh.create({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: podPort }] },
  });
  await mesh.create({
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'HTTPRouteGroup',
    metadata: { name: 'web', namespace },
    spec: { matches: [{ name: 'bytes', pathRegex: '/bytes/[0-9]+', methods: ['GET'] }] },
  });
  await mesh.create({
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { name: 'web', namespace },
    spec: {
      destination: account('web'),
      sources: [account('client')],
      rules: [{ kind: 'HTTPRouteGroup', name: 'web', matches: ['bytes'] }],
    },
  });
}

type PodWish = { readonly name: string; readonly node: number; readonly ip: string };

/** One that the bench runs itself; its name ends with its address. */
async function createPod(mesh: PlaygroundMesh, { name: app, node, ip }: PodWish): Promise<void> {
  const name = `${app}-${ip.replaceAll('.', '-')}`;
  await mesh.create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app }, annotations: { [runsElsewhere]: 'elsewhere' } },
    spec: {
      nodeName: `node-${node}`,
      serviceAccountName: app,
      containers: [{ name: 'app', image: 'none' }],
    },
  });
  const conditions = [{ type: 'Ready', status: 'True' }];
  const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions };
  const place = { group: '', version: 'v1', plural: 'pods', namespace };
  const path = resourcePath({ ...place, name, subresource: 'status' });
  await mesh.connection.patch(path, { kind: 'merge', body: { status } });
}
