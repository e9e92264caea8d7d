// What runs in an app's pod (Node strips the types): answers with who it is, what it was asked and
// how much body came. On SIGTERM it goes on answering for a while, as an app behind kube-proxy has
// to. No meaning for any mesh: the same program is called by plain and by mesh names. The query may
// ask for trouble: `delay` in ms, `status` of the answer, `flaky=ID` for 503 to the first with it.
import { createServer } from 'node:http';

const port = Number(process.env['PORT'] ?? 8080);
const version = process.env['VERSION'] ?? 'none';
const graceMs = 5_000;

const flakyOnce = new Set<string>();

function statusFor(asked: URLSearchParams): number {
  const flaky = asked.get('flaky');
  if (flaky === null || flakyOnce.has(flaky)) return Number(asked.get('status') ?? 200);
  flakyOnce.add(flaky);
  return 503;
}

const server = createServer((request, response) => {
  let received = 0;
  request.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  request.on('end', () => {
    const { method, url, headers } = request;
    const asked = new URL(url ?? '/', 'http://app').searchParams;
    const delayMs = Number(asked.get('delay') ?? 0);
    const status = statusFor(asked);
    const answer = { pod: process.env['POD_NAME'], version, method, url, received, headers };
    setTimeout(() => {
      response.writeHead(status, { 'content-type': 'application/json', 'app-version': version });
      response.end(`${JSON.stringify(answer)}\n`);
    }, delayMs);
  });
});
// Longer than any proxy keeps an idle connection: who closes first must not be the app.
server.keepAliveTimeout = 600_000;
server.listen(port, '::');
process.on('SIGTERM', () => setTimeout(() => process.exit(0), graceMs));
