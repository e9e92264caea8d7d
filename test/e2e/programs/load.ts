// Load from within a pod, by clients that never try again: at a steady rate, half of the requests
// POST with a body and no Idempotency-Key, half of them on connections of their own, the others on
// kept ones – or, where that is asked for, all of them on one that is held throughout. Open loop: a
// slow answer holds nothing up. Ends when its standard input does (or after `seconds`) and prints
// one JSON object.
import { Agent, request } from 'node:http';

type Plan = {
  readonly urls: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
  readonly holdsOne?: boolean;
};
type Failure = {
  readonly atMs: number;
  readonly startedMs: number;
  readonly url: string;
  readonly how: string;
  readonly why: string;
};

// The argument is written by the suite.
const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
const holdsOne = plan.holdsOne === true;
const kept = new Agent({ keepAlive: true, maxSockets: holdsOne ? 1 : 16 });
const keptSockets = new Set<unknown>();
const body = Buffer.alloc(512, 'x');
const failures: Failure[] = [];
const durations: number[] = [];
const versions: Record<string, Record<string, number>> = {};
let sent = 0;
let answered = 0;
let failed = 0;

function once(index: number): void {
  const url = plan.urls[index % plan.urls.length] ?? '';
  const turn = Math.floor(index / plan.urls.length);
  const isPost = turn % 2 === 0;
  const isNew = !holdsOne && turn % 4 < 2;
  const how = `${isPost ? 'POST' : 'GET'} ${isNew ? 'new' : 'kept'}`;
  const startedMs = Date.now();
  let isOver = false;
  const end = (why: string | undefined): void => {
    if (isOver) return;
    isOver = true;
    durations.push(Date.now() - startedMs);
    if (why === undefined) {
      answered += 1;
      return;
    }
    failed += 1;
    if (failures.length < 200) failures.push({ atMs: Date.now(), startedMs, url, how, why });
  };
  sent += 1;
  const agent = isNew ? new Agent({ keepAlive: false }) : kept;
  const asked = request(url, { method: isPost ? 'POST' : 'GET', agent, timeout: 10_000 });
  asked.on('socket', (socket) => {
    if (!isNew) keptSockets.add(socket);
  });
  asked.on('timeout', () => asked.destroy(new Error('no answer for 10 s')));
  asked.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  asked.on('response', (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('error', (error) => end(`cut off: ${error.message}`));
    response.on('end', () => {
      const reason = String(response.headers['weft-reason'] ?? '');
      if (response.statusCode !== 200) return end(`${response.statusCode} ${reason}`);
      const { received } = JSON.parse(text) as { readonly received: number };
      const wanted = isPost ? body.length : 0;
      if (received !== wanted) return end(`${received} bytes of body arrived`);
      count(String(response.headers['app-version'] ?? 'none'));
      end(undefined);
    });
  });
  asked.end(isPost ? body : undefined);
}

/** Per second and version, for who wants to know when a change was in force. */
function count(version: string): void {
  const second = String(Math.floor(Date.now() / 1_000));
  const counts = (versions[second] ??= {});
  counts[version] = (counts[version] ?? 0) + 1;
}

function quantile(share: number): number {
  durations.sort((left, right) => left - right);
  return durations[Math.floor(durations.length * share)] ?? 0;
}

const beganMs = performance.now();
let next = 0;
let isEnding = false;
const ticks = setInterval(() => {
  const elapsedMs = performance.now() - beganMs;
  const due = Math.floor((elapsedMs * plan.perSecond) / 1_000);
  for (; next < due; next += 1) once(next);
  if (elapsedMs > plan.seconds * 1_000) finish();
}, 5);

function finish(): void {
  if (isEnding) return;
  isEnding = true;
  clearInterval(ticks);
  const deadlineMs = performance.now() + 12_000;
  const report = setInterval(() => {
    if (answered + failed < sent && performance.now() < deadlineMs) return;
    clearInterval(report);
    const quantiles = { p50: quantile(0.5), p99: quantile(0.99), max: quantile(0.9999) };
    const counts = { sent, answered, failed, keptConnections: keptSockets.size };
    const result = { ...counts, failures, durationsMs: quantiles, versions };
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
  }, 20);
}

process.stdin.on('data', () => undefined);
process.stdin.on('end', finish);
process.stderr.write('started\n');
