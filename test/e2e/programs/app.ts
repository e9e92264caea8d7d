// What runs in an app's pod (Node strips the types): answers with who it is, what it was asked and
// how much body came. On SIGTERM it goes on answering for a while, as an app behind kube-proxy has
// to. No meaning for any mesh: the same program is called by plain and by mesh names.
import { createServer } from 'node:http';

const port = Number(process.env['PORT'] ?? 8080);
const version = process.env['VERSION'] ?? 'none';
const graceMs = 5_000;

const server = createServer((request, response) => {
  let received = 0;
  request.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  request.on('end', () => {
    const { method, url, headers } = request;
    const delayMs = Number(new URL(url ?? '/', 'http://app').searchParams.get('delay') ?? 0);
    const answer = { pod: process.env['POD_NAME'], version, method, url, received, headers };
    setTimeout(() => {
      response.writeHead(200, { 'content-type': 'application/json', 'app-version': version });
      response.end(`${JSON.stringify(answer)}\n`);
    }, delayMs);
  });
});
// Longer than any proxy keeps an idle connection: who closes first must not be the app.
server.keepAliveTimeout = 600_000;
server.listen(port, '::');
process.on('SIGTERM', () => setTimeout(() => process.exit(0), graceMs));
