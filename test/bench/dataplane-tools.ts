// What the data-plane bench runs and how: its own C tools (built at first use into build/),
// children pinned to cores, and what /proc and the network say about them. Core 0 belongs to the
// proxy under test, core 1 to load and pods, for every proxy alike.
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import { delimiter, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

export const proxyCore = 0;
export const loadCore = 1;

const toolsDirectory = 'build/bench-tools';
const headers = ['measure.h', 'frames.h'] as const;

/** What one run of `load` prints. Times in microseconds, CPU per request of the proxy's process. */
export type LoadResult = {
  readonly rps: number;
  readonly mbPerSecond: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  readonly cpuUs: number;
  readonly userUs: number;
  readonly systemUs: number;
  /** Share of one core that the proxy used. */
  readonly utilisation: number;
  readonly rssKb: number;
  /** Completed in the window; `total` counts warm-up and end as well. */
  readonly requests: number;
  readonly total: number;
  /** Due but not sent at the end, because every connection was busy. */
  readonly late: number;
  /** With `isTolerant`: requests without a good answer. */
  readonly failed: number;
  readonly errors: number;
  readonly firstError: string;
};

export type Work = {
  readonly path: string;
  readonly connections: number;
  readonly answerBytes: number;
  readonly bodyBytes?: number;
  readonly isChunked?: boolean;
  /** A new connection for each request. */
  readonly isFresh?: boolean;
  /** A new request id and trace in each head, so that no head is like the one before. */
  readonly hasNewIds?: boolean;
  /** Requests per second that are due whatever the answers do; absent: as fast as answered. */
  readonly rate?: number;
  /** Failures are what is measured: the run goes on, times are those of good answers. */
  readonly isTolerant?: boolean;
};

export type LoadOptions = {
  readonly work: Work;
  readonly target: { readonly address: string; readonly port: number; readonly host: string };
  readonly sources: { readonly first: string; readonly count: number };
  readonly pids: readonly number[];
  readonly seconds: number;
  readonly warmUpSeconds: number;
};

export function buildTools(): { readonly load: string; readonly up: string } {
  return { load: buildTool('load'), up: buildTool('up') };
}

/** One of the C tools, built unless it is newer than its sources; throws without a compiler. */
export function buildTool(name: string): string {
  const source = `test/bench/tools/${name}.c`;
  const file = join(toolsDirectory, name);
  const sources = [source, ...headers.map((header) => `test/bench/tools/${header}`)];
  const changedMs = Math.max(...sources.map((one) => statSync(one).mtimeMs));
  mkdirSync(toolsDirectory, { recursive: true });
  if (existsSync(file) && statSync(file).mtimeMs > changedMs) return file;
  const built = spawnSync('cc', ['-O2', '-o', file, source], { encoding: 'utf8' });
  if (built.status !== 0) {
    throw new Error(`cannot build ${source} (hint: install a C compiler): ${built.stderr}`);
  }
  return file;
}

export function findProgram(name: string): string | undefined {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return places.map((place) => join(place, name)).find((file) => existsSync(file));
}

/** First line that `program --version` (or the like) prints, on whichever stream. */
export function versionLine(program: string, flag: string): string {
  const said = spawnSync(program, [flag], { encoding: 'utf8' });
  return `${said.stdout}${said.stderr}`.trim().split('\n')[0] ?? '';
}

/** Keeps this process, which plays the API server, off the core of the proxies. */
export function moveToLoadCore(): void {
  execFileSync('taskset', ['-a', '-c', '-p', String(loadCore), String(process.pid)]);
}

export type Child = {
  readonly pid: number;
  readonly hasEnded: () => boolean;
  /** The end of what it wrote. */
  readonly lastLines: () => string;
  readonly stop: () => Promise<void>;
};

export type ChildWish = {
  /** One, or several as taskset says it. */
  readonly core: number | string;
  readonly command: readonly string[];
  readonly logFile: string;
  readonly env?: NodeJS.ProcessEnv;
};

/** Starts a command on one core; taskset becomes the command, so that the pid is its own. */
export function startChild({ core, command, logFile, env }: ChildWish): Child {
  const log = openSync(logFile, 'a');
  const child = spawn('taskset', ['-c', String(core), ...command], {
    stdio: ['ignore', log, log],
    env: env ?? process.env,
  });
  closeSync(log);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot start ${command.join(' ')} (is taskset there?)`);
  return {
    pid,
    hasEnded: () => hasEnded(child),
    lastLines: () => readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-10).join('\n'),
    stop: () => stopChild(child),
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await gone;
  clearTimeout(force);
}

/** A process and its descendants. */
export function processTree(pid: number): readonly number[] {
  let text = '';
  try {
    text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  } catch {
    // Gone meanwhile, or a kernel without this file: the process alone.
  }
  const children = text === '' ? [] : text.split(' ').map(Number);
  return [pid, ...children.flatMap(processTree)];
}

/** One run of the load generator. Rejects when it does not answer with a result. */
export async function runLoad(tool: string, options: LoadOptions): Promise<LoadResult> {
  const { work, target, sources, pids, seconds, warmUpSeconds } = options;
  const flags = [
    ['-a', target.address, '-p', target.port, '-H', target.host],
    ['-s', sources.first, '-n', sources.count],
    ['-u', work.path, '-c', work.connections, '-L', work.answerBytes],
    ['-d', seconds, '-w', warmUpSeconds, '-P', pids.join(',')],
    work.bodyBytes === undefined ? [] : ['-b', work.bodyBytes],
    work.isChunked === true ? ['-C'] : [],
    work.isFresh === true ? ['-F'] : [],
    work.hasNewIds === true ? ['-V'] : [],
    work.rate === undefined ? [] : ['-r', work.rate],
    work.isTolerant === true ? ['-T'] : [],
  ].flat();
  // What is parsed was printed by our own tool.
  return JSON.parse(await outputOf(tool, flags, (seconds + warmUpSeconds) * 1000)) as LoadResult;
}

export type IdleResult = {
  readonly idle: number;
  readonly errors: number;
  readonly firstError: string;
  readonly rssBeforeKb: number;
  readonly rssKb: number;
};

/** Opens connections, sends one request on each, and reads the proxy's memory while they idle. */
export async function holdIdle(
  tool: string,
  connections: number,
  options: Pick<LoadOptions, 'target' | 'sources' | 'pids'>,
): Promise<IdleResult> {
  const { target, sources, pids } = options;
  const flags = [
    ['-a', target.address, '-p', target.port, '-H', target.host],
    ['-s', sources.first, '-n', sources.count],
    ['-L', 200, '-i', connections, '-P', pids.join(',')],
  ].flat();
  return JSON.parse(await outputOf(tool, flags, 10_000)) as IdleResult; // as above
}

/** What a tool prints; rejects when it fails or takes 15 s longer than `ms`. */
export function outputOf(
  tool: string,
  flags: readonly (string | number)[],
  ms: number,
): Promise<string> {
  const child = spawn('taskset', ['-c', String(loadCore), tool, ...flags.map(String)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: ms + 15_000,
  });
  let said = '';
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  let complaint = '';
  child.stderr.on('data', (data: Buffer) => (complaint += data.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(said);
      else reject(new Error(`load ended with ${code}: ${complaint}`));
    });
  });
}

export type Answer = { readonly status: number; readonly body: string };

/** One GET without keep-alive. */
export function get(url: string, options: http.RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: false, timeout: 5_000, ...options }, (response) => {
      let body = '';
      response.on('data', (data: Buffer) => (body += data.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${url} timed out`)));
    request.on('error', reject);
  });
}

/** Asks again until `isDone` says yes. */
export async function until(
  what: string,
  isDone: () => Promise<boolean> | boolean,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    try {
      if (await isDone()) return;
    } catch {
      // Not there yet: asked again until the deadline.
    }
    await wait(50);
  }
  throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
}
