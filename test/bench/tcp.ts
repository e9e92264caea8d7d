// `npm run bench -- tcp`: a TCP service of one worker on loopback, with policy, a split's turn and
// counts, against HAProxy in TCP mode with one thread. Load and pods are those of the data-plane
// bench: HTTP, of which neither proxy reads a word. Ratios are of CPU, medians of rounds.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fastestNetwork, silentObserver, startDataplane } from '../../src/dataplane/index.ts';
import type { Dataplane } from '../../src/dataplane/index.ts';
import { createSlotMemory, SlotView } from '../../src/telemetry/index.ts';
import { defaultLimits, testRuntime } from '../support/dataplane-harness.ts';
import { freePort } from '../support/dataplane-sockets.ts';
import { tcpTable, watchTcp } from '../support/tcp-mesh.ts';
import { podPort, servedPods } from './dataplane-mesh.ts';
import {
  buildTools,
  findProgram,
  loadCore,
  proxyCore,
  runLoad,
  startChild,
  until,
  type LoadResult,
  type Work,
} from './dataplane-tools.ts';

const megabyte = 1_048_576;
const rows: readonly { readonly title: string; readonly work: Work }[] = [
  {
    title: '200 B, 64 connections',
    work: { path: '/bytes/200', answerBytes: 200, connections: 64 },
  },
  {
    title: '1 MB, 16 connections',
    work: { path: `/bytes/${megabyte}`, answerBytes: megabyte, connections: 16 },
  },
  {
    title: 'a connection for each 200 B',
    work: { path: '/bytes/200', answerBytes: 200, connections: 32, isFresh: true },
  },
];
const rounds = 3;
const seconds = 3;

const pods = Array.from({ length: servedPods.count }, (_, index) => {
  const prefix = servedPods.first.slice(0, servedPods.first.lastIndexOf('.'));
  return { address: `${prefix}.${index + 1}`, port: podPort };
});

type Rival = { readonly address: string; readonly port: number; readonly pid: number };

async function startWeft(): Promise<Rival & { readonly dataplane: Dataplane }> {
  const memory = createSlotMemory({ split: 64, endpoint: 64, service: 64 });
  const slots = new SlotView(memory, { index: 0, count: 1 });
  const ids = pods.map(({ address, port }) => `${address}:${port}`);
  slots.apply({ set: ids.map((id, index) => ['endpoint', id, index + 1] as const), freed: [] });
  const dataplane = startDataplane({
    runtime: testRuntime,
    network: (await fastestNetwork()).network,
    ids: { requestId: () => '', traceparent: () => '' },
    slots,
    limits: { ...defaultLimits, connectionsMax: 16_384 },
    bindAddresses: ['127.0.0.1'],
    localAddress: undefined,
    reusePort: false,
    trustedSources: [],
    observer: silentObserver,
    tcp: { ...watchTcp().observer, tcpEnded: () => undefined, tcpJudged: () => undefined },
    events: { listenersChanged: () => undefined },
  });
  const permission = { tcp: { ports: undefined } };
  dataplane.publish(tcpTable({ endpoints: { db: pods }, policy: 'enforce', permission }));
  await until('weft listens', () => dataplane.state().listeners[0]?.isOpen === true);
  const port = dataplane.state().listeners[0]?.openPort ?? 0;
  return { address: '127.0.0.1', port, pid: process.pid, dataplane };
}

async function startHaproxy(directory: string) {
  const program = findProgram('haproxy');
  if (program === undefined) return undefined;
  const address = '127.90.0.11';
  const port = await freePort(address);
  const servers = pods.map((pod, index) => `  server s${index} ${pod.address}:${pod.port}`);
  const file = join(directory, 'haproxy.cfg');
  const head = 'global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode tcp\n';
  const times = '  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n';
  const listen = `listen all\n  bind ${address}:${port} backlog 4096\n  balance leastconn\n`;
  writeFileSync(file, `${head}${times}${listen}${servers.join('\n')}\n`);
  const logFile = join(directory, 'haproxy.log');
  const child = startChild({ core: proxyCore, command: [program, '-db', '-f', file], logFile });
  return { address, port, pid: child.pid, child };
}

function measure(tool: string, work: Work, { address, port, pid }: Rival): Promise<LoadResult> {
  return runLoad(tool, {
    work,
    target: { address, port, host: 'nobody.example' },
    sources: { first: '127.0.0.1', count: 1 },
    pids: [pid],
    seconds,
    warmUpSeconds: 1,
  });
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((left, right) => left - right)[numbers.length >> 1] ?? NaN;
}

/** Lines of a report. */
export async function benchTcp(): Promise<readonly string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'weft-tcp-bench-'));
  const tools = buildTools();
  execFileSync('taskset', ['-a', '-c', '-p', String(proxyCore), String(process.pid)]);
  const command = [tools.up, String(podPort), servedPods.first, String(servedPods.count)];
  const up = startChild({ core: loadCore, command, logFile: join(directory, 'up.log') });
  await until('the pods listen', () => up.lastLines().endsWith('ready'));
  const weft = await startWeft();
  const haproxy = await startHaproxy(directory);
  const lines: string[] = [];
  try {
    for (const { title, work } of rows) {
      const [ours, theirs, ratios]: [LoadResult[], LoadResult[], number[]] = [[], [], []];
      for (let round = 0; round < rounds; round += 1) {
        const one = await measure(tools.load, work, weft);
        ours.push(one);
        if (haproxy === undefined) continue;
        const other = await measure(tools.load, work, haproxy);
        theirs.push(other);
        ratios.push(one.cpuUs / other.cpuUs);
      }
      const said = (name: string, all: readonly LoadResult[]): string =>
        `${name} ${median(all.map(({ cpuUs }) => cpuUs)).toFixed(1)} us, ` +
        `${Math.round(median(all.map(({ rps }) => rps)))}/s, ` +
        `${all.reduce((sum, { errors }) => sum + errors, 0)} errors`;
      const against = haproxy === undefined
        ? 'haproxy is not on PATH'
        : `${said('haproxy', theirs)}; ratio ${median(ratios).toFixed(2)}`;
      lines.push(`${title}: ${said('weft', ours)}; ${against}`);
    }
  } finally {
    weft.dataplane.close();
    await haproxy?.child.stop();
    await up.stop();
    rmSync(directory, { recursive: true });
  }
  return lines;
}
