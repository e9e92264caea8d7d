// Entry of dist/probe.js: the two ends of a probe that `weft check` runs as pods, so that what it
// says was measured from where workloads are. `serve PORT` answers each request with the address
// that it saw; `call URL…` asks each URL once and says one line of JSON for each, on stdout and as
// the pod's termination message. It ends by itself; the checks judge what it says.
import { writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';

/** Names resolve in milliseconds and pods answer in fewer; a second try would hide a fault. */
const answerTimeoutMs = 5_000;
/** A server that nobody removed shall not stay for ever. */
const serveMs = 10 * 60_000;

type Said = { readonly url: string; readonly tookMs: number } & (
  | { readonly status: number; readonly reason: string; readonly body: string }
  | { readonly error: string }
);

function serve(port: number): void {
  const server = createServer((asked, answer) => {
    asked.resume();
    const seen = asked.socket.remoteAddress ?? '';
    const { POD_NAME: pod, NODE_NAME: node } = process.env;
    const text = JSON.stringify({ seen, pod, node });
    answer.writeHead(200, { 'content-type': 'application/json' }).end(text);
  });
  server.listen(port);
  setTimeout(() => process.exit(0), serveMs);
  process.on('SIGTERM', () => process.exit(0));
}

function call(url: string): Promise<Said> {
  const startedMs = performance.now();
  const tookMs = (): number => Math.round(performance.now() - startedMs);
  return new Promise((resolve) => {
    const fail = (error: Error): void => resolve({ url, tookMs: tookMs(), error: error.message });
    const asked = request(url, { timeout: answerTimeoutMs, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (text: string) => {
        body = (body + text).slice(0, 500);
      });
      answer.on('error', fail);
      answer.on('end', () => {
        const reason = answer.headers['weft-reason'];
        const status = answer.statusCode ?? 0;
        resolve({ url, tookMs: tookMs(), status, reason: `${reason ?? ''}`, body });
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${answerTimeoutMs} ms`)));
    asked.on('error', fail);
    asked.end();
  });
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'serve') {
  serve(Number(rest[0] ?? 8080));
} else if (role === 'call') {
  let said = '';
  for (const url of rest) said += `${JSON.stringify(await call(url))}\n`;
  process.stdout.write(said);
  const file = process.env['PROBE_RESULT_FILE'];
  if (file !== undefined) writeFileSync(file, said);
} else {
  process.stderr.write('probe: say serve PORT or call URL...\n');
  process.exitCode = 2;
}
