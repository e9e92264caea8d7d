// nginx and HAProxy for the bench of faults: five pods behind one name, and what a careful user
// sets against pods that fail – the same number of tries and the same time-outs as ours have, and
// on top of it what each of them has of its own: `max_fails` and `proxy_next_upstream`; `option
// redispatch`, `observe layer7` and active health checks, which ours goes without.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { haproxyDefaults, nginxConfig } from './dataplane-rivals.ts';
import { findProgram, get, proxyCore, startChild, until, versionLine } from './dataplane-tools.ts';
import type { Child } from './dataplane-tools.ts';

export type FaultsRivalName = 'haproxy' | 'nginx';

export type FaultsRival = {
  readonly version: string;
  readonly address: string;
  readonly port: number;
  readonly child: Child;
};

export type FaultsPlan = {
  readonly directory: string;
  readonly host: string;
  /** `address:port` of each pod. */
  readonly pods: readonly string[];
  /** They choose by load, not in turns. */
  readonly isByLoad: boolean;
};

const port = 15_180;
const addresses = { nginx: '127.90.0.13', haproxy: '127.90.0.14' };

/** Starts one that is there; undefined when it is not installed. */
export async function startFaultsRival(
  name: FaultsRivalName,
  plan: FaultsPlan,
): Promise<FaultsRival | undefined> {
  const program = findProgram(name);
  if (program === undefined) return undefined;
  const place = join(plan.directory, `faults-${name}`);
  mkdirSync(place, { recursive: true });
  const file = join(place, 'conf');
  writeFileSync(file, name === 'nginx' ? nginxText(place, plan) : haproxyText(plan));
  const isNginx = name === 'nginx';
  const command = isNginx ? [program, '-c', file, '-p', place] : [program, '-db', '-f', file];
  const child = startChild({ core: proxyCore, command, logFile: join(place, 'log') });
  const address = addresses[name];
  try {
    await until(`${name} routes`, async () => {
      const headers = { host: plan.host };
      return (await get(`http://${address}:${port}/bytes/200`, { headers })).status === 200;
    });
  } catch (error) {
    await child.stop();
    throw new Error(`${name} does not route:\n${child.lastLines()}`, { cause: error });
  }
  return { version: versionLine(program, '-v'), address, port, child };
}

function nginxText(place: string, { host, pods, isByLoad }: FaultsPlan): string {
  const servers = pods.map((pod) => `    server ${pod} max_fails=1 fail_timeout=10s;`).join('\n');
  return nginxConfig(
    place,
    `
  upstream pods {
    ${isByLoad ? 'least_conn;' : ''}
${servers}
    keepalive 4096;
    keepalive_requests 1000000000;
  }
  server {
    listen ${addresses.nginx}:${port} backlog=4096;
    server_name ${host};
    proxy_connect_timeout 1s;
    proxy_read_timeout 1s;
    proxy_next_upstream error timeout http_502 http_503 http_504;
    proxy_next_upstream_tries 3;
    location / { proxy_pass http://pods; }
  }`,
  );
}

function haproxyText({ pods, isByLoad }: FaultsPlan): string {
  const servers = pods.map((pod, index) => `  server pod-${index} ${pod}`).join('\n');
  return `${haproxyDefaults}listen all
  bind ${addresses.haproxy}:${port} backlog 4096
  balance ${isByLoad ? 'leastconn' : 'roundrobin'}
  timeout connect 1s
  timeout server 1s
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response response-timeout 502 503 504
  option httpchk GET /bytes/200
  default-server check inter 1s fall 3 rise 2 observe layer7 error-limit 10 on-error mark-down
${servers}
`;
}
