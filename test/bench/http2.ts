// `npm run bench -- http2`: CPU per request of HTTP/2 on both sides, our data plane beside HAProxy
// and nginx (grpc_pass) where they are installed: one thread each on core 0, load and pod on core
// 1, rounds interleaved. Everything that a worker does is on; policy is off. Figures are this
// machine's; the ratios are what counts, and only where the proxy's core was busy.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { haproxyDefaults, nginxConfig } from './dataplane-rivals.ts';
import { findProgram, moveToLoadCore, proxyCore, startChild } from './dataplane-tools.ts';
import { Http2Load, startPod } from './http2-load.ts';
import type { Http2Work } from './http2-load.ts';

const childFile = 'test/support/dataplane-child.ts';
const bundler = 'node_modules/rolldown/bin/cli.mjs';
const podPort = 18_931;
const address = '127.94.0.1';
const ports = { haproxy: 18_932, nginx: 18_933 };
const rounds = 3;
const warmUpMs = 700;
const windowMs = 1_500;
/** Of `/proc/<pid>/stat`, in every Linux that runs Node. */
const tickMs = 10;

type Proxy = {
  readonly name: string;
  readonly port: number;
  readonly pids: readonly number[];
  readonly stop: () => Promise<void>;
};

type Row = Http2Work & { readonly title: string };

const rows: readonly Row[] = [
  { title: 'GET 200 B, 64 connections x 1', connections: 64, streams: 1, path: '/bytes/200' },
  { title: 'GET 200 B, 8 connections x 32', connections: 8, streams: 32, path: '/bytes/200' },
  { title: 'GET 10 kB, 8 connections x 32', connections: 8, streams: 32, path: '/bytes/10240' },
  { title: 'GET 1 MB, 4 connections x 2', connections: 4, streams: 2, path: '/bytes/1048576' },
];

export async function benchHttp2(): Promise<readonly string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  moveToLoadCore();
  const stopPod = await startPod(podPort, address);
  const proxies: Proxy[] = [];
  try {
    proxies.push(await startWeft(directory), ...startRivals(directory));
    await wait(500);
    const lines: string[] = [];
    for (const row of rows) lines.push(...(await measureRow(row, proxies)));
    return lines;
  } finally {
    for (const proxy of proxies) await proxy.stop();
    stopPod();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startWeft(directory: string): Promise<Proxy> {
  const options = { endpoints: [{ address, port: podPort }], scheme: 'h2c' };
  const bundle = join(directory, 'dataplane.mjs');
  const asked = ['--platform', 'node', '--format', 'esm', '--file', bundle];
  execFileSync(process.execPath, [bundler, childFile, ...asked], { stdio: 'ignore' });
  const command = [process.execPath, bundle, JSON.stringify(options), 'unwatched'];
  // It lives as long as its standard input.
  const child = spawn('taskset', ['-c', String(proxyCore), ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
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
  return { name: 'weft', port, pids: [child.pid ?? 0], stop };
}

function startRivals(directory: string): readonly Proxy[] {
  const proxies: Proxy[] = [];
  const haproxy = findProgram('haproxy');
  if (haproxy !== undefined) {
    const file = join(directory, 'haproxy.cfg');
    writeFileSync(file, haproxyText());
    proxies.push(rival('haproxy', [haproxy, '-db', '-f', file], directory));
  }
  const nginx = findProgram('nginx');
  if (nginx !== undefined) {
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

async function measureRow(row: Row, proxies: readonly Proxy[]): Promise<readonly string[]> {
  const samples = new Map(proxies.map(({ name }) => [name, [] as Sample[]]));
  for (let round = 0; round < rounds; round += 1) {
    // Another order each round: what the machine does to one it does to all.
    for (let turn = 0; turn < proxies.length; turn += 1) {
      const proxy = proxies[(round + turn) % proxies.length];
      if (proxy !== undefined) samples.get(proxy.name)?.push(await measure(row, proxy));
    }
  }
  const ours = median(samples.get('weft') ?? []);
  return [
    row.title,
    ...proxies.map(({ name }) => {
      const told = median(samples.get(name) ?? []);
      const ratio = name === 'weft' ? '' : `, weft costs ${(ours.cpuUs / told.cpuUs).toFixed(2)}`;
      const failed = told.failed > 0 ? `, ${told.failed} FAILED` : '';
      return `  ${name}: ${told.cpuUs.toFixed(2)} µs, ${Math.round(told.rps)}/s, ` +
        `${Math.round(told.busy * 100)} % of its core${ratio}${failed}`;
    }),
  ];
}

type Sample = {
  readonly cpuUs: number;
  readonly rps: number;
  readonly busy: number;
  readonly failed: number;
};

async function measure(row: Row, proxy: Proxy): Promise<Sample> {
  const load = new Http2Load(row, { address: '127.0.0.1', port: proxy.port });
  await wait(warmUpMs);
  const before = { cpuMs: cpuMsOf(proxy), answered: load.answered, atMs: performance.now() };
  await wait(windowMs);
  const cpuMs = cpuMsOf(proxy) - before.cpuMs;
  const answered = load.answered - before.answered;
  const seconds = (performance.now() - before.atMs) / 1000;
  const { failed } = load;
  load.stop();
  await wait(100);
  return {
    cpuUs: (cpuMs * 1000) / Math.max(1, answered),
    rps: answered / seconds,
    busy: cpuMs / 1000 / seconds,
    failed,
  };
}

function median(samples: readonly Sample[]): Sample {
  const sorted = [...samples].sort((a, b) => a.cpuUs - b.cpuUs);
  const middle = sorted[sorted.length >> 1];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}

/** User and system time of the process and its workers, all threads. */
function cpuMsOf({ pids }: Proxy): number {
  let sum = 0;
  for (const pid of pids.flatMap(withChildren)) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    sum += (Number(words[11]) + Number(words[12])) * tickMs;
  }
  return sum;
}

function withChildren(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [pid, ...(text === '' ? [] : text.split(' ').map(Number))];
}
