// Chains of two nginx and of two HAProxy for the bench of tunnels: plain HTTP in, TLS 1.3 with
// certificates of both sides in the middle, kept open, plain HTTP to the pod. One thread each, both
// on the core of the proxies; nothing else is switched on. Certificates are P-256, as ours.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestAuthority, proxyId, spiffe } from '../support/tunnel-mesh.ts';
import { podPort, servedPods } from './dataplane-mesh.ts';
import { haproxyDefaults, nginxConfig } from './dataplane-rivals.ts';
import { findProgram, get, processTree, proxyCore, startChild, until } from './dataplane-tools.ts';
import type { Child } from './dataplane-tools.ts';

export type ChainName = 'nginx' | 'haproxy';

export type RunningChain = {
  readonly address: string;
  readonly port: number;
  readonly pids: readonly number[];
  readonly stop: () => Promise<void>;
};

const port = 15_180;
const tlsPort = 15_443;
const places = {
  nginx: ['127.94.0.1', '127.94.0.2'],
  haproxy: ['127.94.0.3', '127.94.0.4'],
} as const;

type Side = 'a' | 'b';

/** Files of one side: its certificate with its root, its key, both in one, the root alone. */
type Files = {
  readonly certificate: string;
  readonly key: string;
  readonly both: string;
  readonly root: string;
};

/** Starts one; throws where the program is missing or does not route. */
export async function startChain(name: ChainName, directory: string): Promise<RunningChain> {
  const program = findProgram(name);
  if (program === undefined) throw new Error(`${name} is not installed`);
  const authority = new TestAuthority();
  const children: Child[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children) await child.stop();
  };
  for (const side of ['b', 'a'] as const) {
    const place = join(directory, `${name}-${side}`);
    mkdirSync(place, { recursive: true });
    const files = writeFiles(place, side, authority);
    const text = { nginx: nginxText, haproxy: haproxyText }[name](side, files, place);
    const file = join(place, 'conf');
    writeFileSync(file, text);
    const command = name === 'nginx'
      ? [program, '-c', file, '-p', place]
      : [program, '-db', '-f', file];
    children.push(startChild({ core: proxyCore, command, logFile: join(place, 'log') }));
  }
  const [address] = places[name];
  try {
    await until(`${name} routes`, async () => {
      return (await get(`http://${address}:${port}/bytes/200`)).status === 200;
    });
  } catch (error) {
    const said = children.map((child) => child.lastLines()).join('\n');
    await stop();
    throw new Error(`${name} does not route:\n${said}`, { cause: error });
  }
  return { address, port, pids: children.flatMap(({ pid }) => processTree(pid)), stop };
}

function writeFiles(place: string, side: Side, authority: TestAuthority): Files {
  const id = side === 'a' ? spiffe('bench/client') : proxyId;
  const { certificatePem, keyPem } = authority.credential(id, `node-${side}`);
  const write = (name: string, text: string): string => {
    const file = join(place, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  return {
    certificate: write('certificate.pem', certificatePem),
    key: write('key.pem', keyPem),
    both: write('both.pem', certificatePem + keyPem),
    root: write('root.pem', authority.rootPem),
  };
}

function nginxText(side: Side, files: Files, place: string): string {
  const [a, b] = places.nginx;
  const server = side === 'a'
    ? `
  upstream next { server ${b}:${tlsPort}; keepalive 4096; keepalive_requests 1000000000; }
  server {
    listen ${a}:${port} backlog=4096;
    location / {
      proxy_pass https://next;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_certificate ${files.certificate};
      proxy_ssl_certificate_key ${files.key};
      proxy_ssl_trusted_certificate ${files.root};
      proxy_ssl_verify on;
      proxy_ssl_name node-b.node.weft.dev;
    }
  }`
    : `
  upstream next { server ${servedPods.first}:${podPort}; keepalive 4096;
    keepalive_requests 1000000000; }
  server {
    listen ${b}:${tlsPort} ssl backlog=4096;
    ssl_protocols TLSv1.3;
    ssl_certificate ${files.certificate};
    ssl_certificate_key ${files.key};
    ssl_client_certificate ${files.root};
    ssl_verify_client on;
    location / { proxy_pass http://next; }
  }`;
  return nginxConfig(place, server);
}

function haproxyText(side: Side, files: Files): string {
  const [a, b] = places.haproxy;
  const ends = side === 'a'
    ? `  bind ${a}:${port} backlog 4096
  server s ${b}:${tlsPort} ssl crt ${files.both} ca-file ${files.root} verify required ` +
      'ssl-min-ver TLSv1.3'
    : `  bind ${b}:${tlsPort} backlog 4096 ssl crt ${files.both} ca-file ${files.root} ` +
      `verify required ssl-min-ver TLSv1.3
  server s ${servedPods.first}:${podPort}`;
  return `${haproxyDefaults}listen all
${ends}
`;
}
