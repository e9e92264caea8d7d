// The npm baseline of `npm run bench -- dataplane`: http-proxy as its documentation shows it, with
// keep-alive upstreams and the same names as the others. Arguments: address, port, and a file with
// one "name address:port" per line.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import httpProxy from 'http-proxy';

const [address, port, file] = process.argv.slice(2);
const targets = new Map(
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [name, target] = line.split(' ');
      return [name, `http://${target}`];
    }),
);
const proxy = httpProxy.createProxyServer({
  agent: new http.Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 8192 }),
});
proxy.on('error', (error, request, response) => {
  response.statusCode = 502;
  response.end(String(error));
});
const server = http.createServer((request, response) => {
  const target = targets.get(request.headers.host);
  if (target === undefined) {
    response.statusCode = 404;
    response.end();
    return;
  }
  proxy.web(request, response, { target });
});
server.keepAliveTimeout = 60_000;
server.listen({ host: address, port: Number(port), backlog: 4096 });
