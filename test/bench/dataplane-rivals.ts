// The other proxies of the data-plane bench, each with one thread and routing by Host among as many
// names as ours knows: nginx and HAProxy as found on PATH, http-proxy from npm. They forward and do
// nothing else: no policy, no split, no metrics, no access log.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf, idlePodAddress, measuredService, podPort, servedPods } from './dataplane-mesh.ts';
import type { MeshSize } from './dataplane-mesh.ts';
import { findProgram, get, proxyCore, startChild, until, versionLine } from './dataplane-tools.ts';
import type { Child } from './dataplane-tools.ts';

export type RivalName = 'nginx' | 'haproxy' | 'http-proxy';

export type Rival = {
  readonly name: RivalName;
  readonly version: string;
  readonly address: string;
  readonly port: number;
  readonly child: Child;
};

const port = 15_180;
const addresses = { nginx: '127.90.0.10', haproxy: '127.90.0.11', 'http-proxy': '127.90.0.12' };

type Route = { readonly host: string; readonly target: string };

function routesOf(size: MeshSize): readonly Route[] {
  return Array.from({ length: size.services }, (_, index) => {
    const address = index === measuredService ? servedPods.first : idlePodAddress(index, 0, size);
    return { host: hostOf(index), target: `${address}:${podPort}` };
  });
}

/** Starts one that is there; undefined when it is not installed. */
export async function startRival(
  name: RivalName,
  directory: string,
  size: MeshSize,
): Promise<Rival | undefined> {
  const address = addresses[name];
  const prepared = { nginx, haproxy, 'http-proxy': baseline }[name](directory, routesOf(size));
  if (prepared === undefined) return undefined;
  const { command, version } = prepared;
  const child = startChild({ core: proxyCore, command, logFile: join(directory, `${name}.log`) });
  const headers = { host: hostOf(measuredService) };
  try {
    await until(`${name} routes`, async () => {
      if (child.hasEnded()) return true;
      return (await get(`http://${address}:${port}/bytes/200`, { headers })).status === 200;
    });
    if (child.hasEnded()) throw new Error(`${name} ended`);
  } catch (error) {
    await child.stop();
    throw new Error(`${name} does not route:\n${child.lastLines()}`, { cause: error });
  }
  return { name, version, address, port, child };
}

type Prepared = { readonly command: readonly string[]; readonly version: string };

function nginx(directory: string, routes: readonly Route[]): Prepared | undefined {
  const program = findProgram('nginx');
  if (program === undefined) return undefined;
  const place = join(directory, 'nginx');
  mkdirSync(place, { recursive: true });
  const file = join(place, 'nginx.conf');
  writeFileSync(file, nginxText(place, routes));
  return { command: [program, '-c', file, '-p', place], version: versionLine(program, '-v') };
}

function nginxText(place: string, routes: readonly Route[]): string {
  const servers = routes.map(
    ({ host, target }, index) => `
  upstream up_${index} { server ${target}; keepalive 4096; keepalive_requests 1000000000; }
  server {
    listen ${addresses.nginx}:${port}${index === 0 ? ' backlog=4096' : ''};
    server_name ${host};
    location / { proxy_pass http://up_${index}; }
  }`,
  );
  return nginxConfig(place, servers.join('\n'));
}

/** One worker that keeps connections to both sides, and nothing on disk. */
export function nginxConfig(place: string, servers: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${place}/${kind};`)
    .join('\n');
  return `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${place}/nginx.pid;
error_log ${place}/error.log;
events { worker_connections 20000; }
http {
${temporary}
  access_log off;
  keepalive_timeout 60s;
  keepalive_requests 1000000000;
  server_names_hash_bucket_size 128;
  server_names_hash_max_size 8192;
  proxy_request_buffering off;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_buffer_size 16k;
  proxy_buffers 16 64k;
  proxy_busy_buffers_size 256k;
  proxy_max_temp_file_size 0;
${servers}
}
`;
}

/** One thread that keeps connections to both sides. */
export const haproxyDefaults = `global
  nbthread 1
  maxconn 9000
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
`;

function haproxy(directory: string, routes: readonly Route[]): Prepared | undefined {
  const program = findProgram('haproxy');
  if (program === undefined) return undefined;
  const file = join(directory, 'haproxy.cfg');
  const map = join(directory, 'haproxy.map');
  writeFileSync(map, routes.map(({ host }, index) => `${host} b_${index}\n`).join(''));
  const backends = routes.map(
    ({ target }, index) => `backend b_${index}\n  server s ${target}\n`,
  );
  writeFileSync(
    file,
    `${haproxyDefaults}frontend all
  bind ${addresses.haproxy}:${port} backlog 4096
  use_backend %[req.hdr(host),lower,map_str(${map})]
${backends.join('')}`,
  );
  return { command: [program, '-db', '-f', file], version: versionLine(program, '-v') };
}

function baseline(directory: string, routes: readonly Route[]): Prepared {
  const file = join(directory, 'http-proxy.routes');
  writeFileSync(file, routes.map(({ host, target }) => `${host} ${target}\n`).join(''));
  const script = 'test/bench/tools/http-proxy.mjs';
  const address = addresses['http-proxy'];
  return {
    command: [process.execPath, script, address, String(port), file],
    version: `http-proxy of npm on Node ${process.version}`,
  };
}
