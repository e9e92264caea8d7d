// A real API server for one test file: etcd and kube-apiserver from KUBEBUILDER_ASSETS (the envtest
// convention: a directory with etcd, kube-apiserver and kubectl) as children of this process, on
// free loopback ports, with everything they write in one temporary directory.
// The server signs its own certificate (`--cert-dir`), so clients of the tests do not verify it;
// the one user is an administrator with a token. It ends only the two processes it has started.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';

export type ControlPlaneOptions = {
  /** Further flags of kube-apiserver, e.g. `--feature-gates=WatchList=false`. */
  readonly serverFlags?: readonly string[];
  /** Contents of `--token-auth-file` besides the administrator: `token,user,uid,"group,group"`. */
  readonly users?: readonly string[];
};

export type ControlPlane = {
  readonly url: string;
  readonly token: string;
  readonly kubeconfigPath: string;
  /** Directory of the binaries, for kubectl. */
  readonly assets: string;
  /** Plain HTTP, for its JSON gateway: `/v3/kv/compaction`. */
  readonly etcdUrl: string;
  /** Ends the API server (at once, as a crash does) and waits until it is gone. */
  readonly kill: () => Promise<void>;
  /** Starts the API server again: same port, data and token. */
  readonly start: () => Promise<void>;
  readonly restart: () => Promise<void>;
  /** Connections stay open, nothing answers. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** Everything that can be forgotten is: watches from older versions get 410 after a restart. */
  readonly compact: () => Promise<void>;
  /** All data is lost and versions begin anew, as with a backup that was restored. */
  readonly wipe: () => Promise<void>;
  /** Ends both and removes the directory. */
  readonly stop: () => Promise<void>;
};

const readyTimeoutMs = 60_000;
const endTimeoutMs = 10_000;

/** The directory of the binaries; throws one line that says what to do. */
export function requireAssets(): string {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets === undefined || assets === '') {
    throw new Error('KUBEBUILDER_ASSETS is not set: run `setup-envtest use -p env` and eval it');
  }
  for (const program of ['etcd', 'kube-apiserver']) {
    if (!existsSync(join(assets, program))) {
      throw new Error(`KUBEBUILDER_ASSETS=${assets} holds no ${program}`);
    }
  }
  return assets;
}

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const assets = requireAssets();
  const attempts = 3;
  for (let attempt = 1; ; attempt += 1) {
    const directory = await mkdtemp(join(tmpdir(), 'weft-control-plane-'));
    const ports = await freePorts(3);
    const plane = new RunningControlPlane({ assets, directory, options, ports });
    try {
      await plane.up();
      return plane.face();
    } catch (error) {
      // Somebody else may have taken a port in between: the next attempt chooses others.
      const logs = await plane.lastLines();
      await plane.stop();
      if (attempt === attempts) throw new Error(`no control plane: ${String(error)}\n${logs}`);
    }
  }
}

type Facts = {
  readonly assets: string;
  readonly directory: string;
  readonly options: ControlPlaneOptions;
  readonly ports: readonly number[];
};

class RunningControlPlane {
  readonly #facts: Facts;
  readonly #token = randomBytes(16).toString('hex');
  readonly #agent = new Agent({ connect: { rejectUnauthorized: false } });
  #etcd: ChildProcess | undefined;
  #server: ChildProcess | undefined;
  // A test that crashes must not leave a server behind.
  readonly #atExit = (): void => {
    this.#etcd?.kill('SIGKILL');
    this.#server?.kill('SIGKILL');
  };

  constructor(facts: Facts) {
    this.#facts = facts;
    process.on('exit', this.#atExit);
  }

  get #url(): string {
    return `https://127.0.0.1:${this.#facts.ports[0]}`;
  }

  get #etcdUrl(): string {
    return `http://127.0.0.1:${this.#facts.ports[1]}`;
  }

  face(): ControlPlane {
    return {
      url: this.#url,
      token: this.#token,
      kubeconfigPath: this.#path('kubeconfig'),
      assets: this.#facts.assets,
      etcdUrl: this.#etcdUrl,
      kill: () => this.#endServer(),
      start: () => this.#startServer(),
      restart: async () => {
        await this.#endServer();
        await this.#startServer();
      },
      pause: () => void this.#server?.kill('SIGSTOP'),
      resume: () => void this.#server?.kill('SIGCONT'),
      compact: () => this.#compact(),
      wipe: () => this.#wipe(),
      stop: () => this.stop(),
    };
  }

  async up(): Promise<void> {
    await this.#writeFiles();
    await this.#startEtcd();
    await this.#startServer();
  }

  async #startEtcd(): Promise<void> {
    const peer = `http://127.0.0.1:${this.#facts.ports[2]}`;
    this.#etcd = await this.#spawn('etcd', [
      '--name=weft',
      `--data-dir=${this.#path('etcd')}`,
      '--log-level=warn',
      '--unsafe-no-fsync',
      `--listen-client-urls=${this.#etcdUrl}`,
      `--advertise-client-urls=${this.#etcdUrl}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=weft=${peer}`,
    ]);
  }

  async #wipe(): Promise<void> {
    await this.#endServer();
    await end(this.#etcd);
    await rm(this.#path('etcd'), { recursive: true, force: true });
    await this.#startEtcd();
    await this.#startServer();
  }

  async stop(): Promise<void> {
    process.off('exit', this.#atExit);
    await Promise.all([end(this.#server), end(this.#etcd)]);
    await this.#agent.destroy();
    await rm(this.#facts.directory, { recursive: true, force: true });
  }

  async lastLines(): Promise<string> {
    const read = async (name: string): Promise<string> => {
      const text = await readFile(this.#path(`${name}.log`), 'utf8').catch(() => '');
      return text.split('\n').slice(-6).join('\n');
    };
    return `${await read('etcd')}\n${await read('kube-apiserver')}`;
  }

  #path(name: string): string {
    return join(this.#facts.directory, name);
  }

  async #writeFiles(): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const admin = `${this.#token},admin,admin,system:masters`;
    const users = [admin, ...(this.#facts.options.users ?? [])];
    const write = (name: string, text: string): Promise<void> =>
      writeFile(this.#path(name), text, { mode: 0o600 });
    await mkdir(this.#path('certs'));
    await write('sa.key', privateKey.export({ type: 'sec1', format: 'pem' }).toString());
    await write('sa.pub', publicKey.export({ type: 'spki', format: 'pem' }).toString());
    await write('tokens.csv', `${users.join('\n')}\n`);
    await write('kubeconfig', this.#kubeconfig());
  }

  #kubeconfig(): string {
    return [
      'apiVersion: v1',
      'kind: Config',
      'current-context: test',
      'contexts: [{name: test, context: {cluster: test, user: admin}}]',
      `clusters: [{name: test, cluster: {server: "${this.#url}", insecure-skip-tls-verify: true}}]`,
      `users: [{name: admin, user: {token: "${this.#token}"}}]`,
      '',
    ].join('\n');
  }

  async #startServer(): Promise<void> {
    if (this.#server !== undefined) return;
    const issuer = 'https://kubernetes.default.svc.cluster.local';
    this.#server = await this.#spawn('kube-apiserver', [
      `--etcd-servers=${this.#etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      // A loopback address cannot be an endpoint of the Service default/kubernetes.
      '--endpoint-reconciler-type=none',
      `--secure-port=${this.#facts.ports[0]}`,
      `--cert-dir=${this.#path('certs')}`,
      `--token-auth-file=${this.#path('tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.96.0.0/16',
      '--allow-privileged=true',
      // Pods are made directly here, without service accounts of their namespaces.
      '--disable-admission-plugins=ServiceAccount',
      `--service-account-issuer=${issuer}`,
      `--service-account-key-file=${this.#path('sa.pub')}`,
      `--service-account-signing-key-file=${this.#path('sa.key')}`,
      ...(this.#facts.options.serverFlags ?? []),
    ]);
    await this.#ready();
  }

  async #endServer(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await end(server);
  }

  async #spawn(program: string, flags: readonly string[]): Promise<ChildProcess> {
    const log = await open(this.#path(`${program}.log`), 'a');
    const path = join(this.#facts.assets, program);
    const cwd = this.#facts.directory;
    const child = spawn(path, flags, { stdio: ['ignore', log.fd, log.fd], cwd });
    child.on('error', () => undefined);
    child.on('spawn', () => void log.close());
    return child;
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + readyTimeoutMs;
    for (;;) {
      for (const child of [this.#etcd, this.#server]) {
        if (child?.exitCode !== null) throw new Error('a process of the control plane has ended');
      }
      if ((await this.#answers('/readyz')) && (await this.#answers('/api/v1/namespaces/default'))) {
        return;
      }
      if (Date.now() > deadline) throw new Error('the API server did not become ready');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #answers(path: string): Promise<boolean> {
    try {
      const answer = await request(this.#url + path, {
        dispatcher: this.#agent,
        headers: { authorization: `Bearer ${this.#token}` },
        headersTimeout: 5_000,
        bodyTimeout: 5_000,
      });
      await answer.body.dump();
      return answer.statusCode === 200;
    } catch {
      // It does not listen yet.
      return false;
    }
  }

  async #compact(): Promise<void> {
    const post = async (path: string, body: unknown): Promise<unknown> => {
      const text = JSON.stringify(body);
      const answer = await request(this.#etcdUrl + path, { method: 'POST', body: text });
      return answer.body.json();
    };
    const key = Buffer.from('a').toString('base64');
    const range = (await post('/v3/kv/range', { key })) as { header: { revision: string } };
    await post('/v3/kv/compaction', { revision: range.header.revision, physical: true });
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, endTimeoutMs);
  });
  await Promise.race([gone, late]);
  clearTimeout(timer);
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    // The address of a listening TCP server is never a string.
    ports.push((server.address() as AddressInfo).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
