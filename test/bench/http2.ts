// `npm run bench -- http2`: CPU per request of HTTP/2 on both sides, our data plane beside HAProxy
// and nginx (grpc_pass) where they are installed: one thread each on core 0, load and pod on core
// 1, rounds interleaved. Everything that a worker does is on; policy is off. Figures are this
// machine's; the ratios are what counts, and only where the proxy's core was busy.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { allocator, nodeFlags } from '../../scripts/image/weft-image.ts';
import { otherTree } from './dataplane-against.ts';
import { haproxyDefaults, nginxConfig } from './dataplane-rivals.ts';
import {
  buildTool,
  findProgram,
  loadCore,
  moveToLoadCore,
  outputOf,
  processTree,
  proxyCore,
  startChild,
} from './dataplane-tools.ts';
import type { LoadResult } from './dataplane-tools.ts';

const childFile = 'test/support/dataplane-child.ts';
const bundler = 'node_modules/rolldown/bin/cli.mjs';
const podPort = 18_931;
const address = '127.94.0.1';
const ports = { haproxy: 18_932, nginx: 18_933 };
const warmUpSeconds = 0.7;
const seconds = 1.5;

type Proxy = {
  readonly name: string;
  readonly port: number;
  readonly pids: readonly number[];
  readonly stop: () => Promise<void>;
};

type Row = {
  readonly title: string;
  readonly connections: number;
  /** At the same time on each connection. */
  readonly streams: number;
  readonly bytes: number;
  /** Calls of gRPC, with a message of `bytes` each way. */
  readonly isGrpc?: boolean;
};

const rows: readonly Row[] = [
  { title: 'GET 200 B, 64 connections x 1', connections: 64, streams: 1, bytes: 200 },
  { title: 'GET 200 B, 8 connections x 32', connections: 8, streams: 32, bytes: 200 },
  {
    title: 'gRPC 100 B, 64 connections x 1',
    connections: 64,
    streams: 1,
    bytes: 100,
    isGrpc: true,
  },
  {
    title: 'gRPC 100 B, 8 connections x 32',
    connections: 8,
    streams: 32,
    bytes: 100,
    isGrpc: true,
  },
  { title: 'GET 10 kB, 8 connections x 32', connections: 8, streams: 32, bytes: 10_240 },
  { title: 'GET 1 MB, 4 connections x 2', connections: 4, streams: 2, bytes: 1_048_576 },
  { title: 'GET 64 MB, one stream', connections: 1, streams: 1, bytes: 64 * 1_048_576 },
  { title: 'GET 200 B, 1 000 connections x 10', connections: 1_000, streams: 10, bytes: 200 },
];

/**
 * Flags: `--only TEXT` rows whose title has it, `--rounds N`, `--with NAME` rivals (or `none`),
 * `--against REF`: beside the data plane of the point where this branch left another.
 */
export async function benchHttp2(flags: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...flags],
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      with: { type: 'string' },
      against: { type: 'string' },
    },
  });
  const asked = rows.filter(({ title }) => title.includes(values.only ?? ''));
  const rounds = Number(values.rounds ?? 3);
  const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  const tools = { load: buildTool('load2'), pod: buildTool('up2') };
  moveToLoadCore();
  const proxies: Proxy[] = [];
  const other = values.against === undefined ? undefined : otherTree(values.against);
  try {
    proxies.push(await startWeft(directory, 'weft', '.'));
    if (other !== undefined) proxies.push(await startWeft(directory, 'before', other.place));
    proxies.push(...startRivals(directory, values.with));
    await wait(500);
    for (const row of asked) {
      for (const line of await measureRow(row, proxies, { tools, rounds, directory })) {
        console.log(line);
      }
    }
    return 0;
  } finally {
    for (const proxy of proxies) await proxy.stop();
    other?.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** `tree`: where its sources are. */
async function startWeft(directory: string, name: string, tree: string): Promise<Proxy> {
  const options = { endpoints: [{ address, port: podPort }], scheme: 'h2c' };
  const bundle = join(directory, `${name}.mjs`);
  const asked = ['--platform', 'node', '--format', 'esm', '--file', bundle];
  const bundling = [resolve(bundler), childFile, ...asked];
  execFileSync(process.execPath, bundling, { stdio: 'ignore', cwd: tree });
  const command = [process.execPath, ...nodeFlags, bundle, JSON.stringify(options), 'unwatched'];
  // It lives as long as its standard input.
  const child = spawn('taskset', ['-c', String(proxyCore), ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...allocator, ...process.env },
  });
  const first = await new Promise<string>((done, fail) => {
    child.stdout.once('data', (data: Buffer) => done(data.toString()));
    child.once('exit', (code) => fail(new Error(`the data plane ended with ${code}`)));
  });
  const port = Number(/"port":(\d+)/.exec(first)?.[1]);
  const ended = new Promise((done) => child.once('exit', done));
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  return { name, port, pids: [child.pid ?? 0], stop };
}

function startRivals(directory: string, only?: string): readonly Proxy[] {
  const proxies: Proxy[] = [];
  const haproxy = findProgram('haproxy');
  if (haproxy !== undefined && (only ?? 'haproxy') === 'haproxy') {
    const file = join(directory, 'haproxy.cfg');
    writeFileSync(file, haproxyText());
    proxies.push(rival('haproxy', [haproxy, '-db', '-f', file], directory));
  }
  const nginx = findProgram('nginx');
  if (nginx !== undefined && (only ?? 'nginx') === 'nginx') {
    const place = join(directory, 'nginx');
    mkdirSync(place, { recursive: true });
    const file = join(place, 'nginx.conf');
    writeFileSync(file, nginxText(place));
    proxies.push(rival('nginx', [nginx, '-c', file, '-p', place], directory));
  }
  return proxies;
}

function rival(name: 'haproxy' | 'nginx', command: readonly string[], directory: string): Proxy {
  const logFile = join(directory, `${name}.log`);
  const child = startChild({ core: proxyCore, command, logFile });
  return { name, port: ports[name], pids: [child.pid], stop: () => child.stop() };
}

function haproxyText(): string {
  return `${haproxyDefaults}frontend all
  bind 127.0.0.1:${ports.haproxy} proto h2
  default_backend pods
backend pods
  server s ${address}:${podPort} proto h2
`;
}

function nginxText(place: string): string {
  return nginxConfig(
    place,
    `  upstream pods { server ${address}:${podPort}; keepalive 1024; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${ports.nginx} http2;
    http2_max_concurrent_streams 1000;
    location / { grpc_pass grpc://pods; }
  }`,
  );
}

type Rig = {
  readonly tools: { readonly load: string; readonly pod: string };
  readonly rounds: number;
  readonly directory: string;
};

async function measureRow(row: Row, proxies: readonly Proxy[], rig: Rig): Promise<string[]> {
  const samples = new Map(proxies.map(({ name }) => [name, [] as LoadResult[]]));
  const command = [rig.tools.pod, address, String(podPort), String(row.bytes)];
  if (row.isGrpc === true) command.push('grpc');
  const pod = startChild({ core: loadCore, command, logFile: join(rig.directory, 'pod.log') });
  await wait(200);
  try {
    for (let round = 0; round < rig.rounds; round += 1) {
      // Another order each round: what the machine does to one it does to all.
      for (let turn = 0; turn < proxies.length; turn += 1) {
        const proxy = proxies[(round + turn) % proxies.length];
        if (proxy !== undefined) samples.get(proxy.name)?.push(await measure(row, proxy, rig));
      }
    }
  } finally {
    await pod.stop();
  }
  const ours = median(samples.get('weft') ?? []);
  return [
    row.title,
    ...proxies.map(({ name }) => {
      const told = median(samples.get(name) ?? []);
      const ratio = name === 'weft' ? '' : `, weft costs ${(ours.cpuUs / told.cpuUs).toFixed(2)}`;
      const failed = told.errors > 0 ? `, ${told.errors} FAILED: ${told.firstError}` : '';
      return (
        `  ${name}: ${told.cpuUs.toFixed(2)} µs, ${Math.round(told.rps)}/s, ` +
        `${Math.round(told.mbPerSecond)} MB/s, p99 ${(told.p99Us / 1_000).toFixed(1)} ms, ` +
        `${Math.round(told.rssKb / 1_024)} MB, ` +
        `${Math.round(told.utilisation * 100)} % of its core${ratio}${failed}`
      );
    }),
  ];
}

async function measure(row: Row, { port, pids }: Proxy, { tools }: Rig): Promise<LoadResult> {
  const size = row.isGrpc === true ? ['-b', row.bytes] : ['-L', row.bytes];
  const flags = [
    ['-p', port, '-H', 'h1.t.mesh', '-u', row.isGrpc === true ? '/echo.Echo/Say' : '/'],
    ['-c', row.connections, '-S', row.streams, ...size],
    ['-d', seconds, '-w', warmUpSeconds, '-P', pids.flatMap(processTree).join(',')],
  ].flat();
  // What is parsed was printed by our own tool.
  const said = await outputOf(tools.load, flags, (seconds + warmUpSeconds) * 1_000);
  return JSON.parse(said) as LoadResult;
}

function median(samples: readonly LoadResult[]): LoadResult {
  const sorted = [...samples].sort((a, b) => a.cpuUs - b.cpuUs);
  const middle = sorted[sorted.length >> 1];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}
